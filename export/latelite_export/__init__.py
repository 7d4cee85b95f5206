"""Checkpoint -> graph -> int8 -> verified bundle. Runs on a workstation; the device only reads what it writes."""
