"""MaxSim: scoring documents of token vectors against a query."""

from latelite.maxsim.scores import maxsim, maxsim_batch, maxsim_documents, maxsim_rows, rough_error

__all__ = ["maxsim", "maxsim_batch", "maxsim_documents", "maxsim_rows", "rough_error"]
