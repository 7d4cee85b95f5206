"""Asks for the folder of the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import voluptuous as vol
from homeassistant.config_entries import ConfigFlow, ConfigFlowResult

from latelite.bundle import Bundle
from latelite.errors import BundleError

from .const import CONF_BUNDLE, DOMAIN


class LateliteConfigFlow(ConfigFlow, domain=DOMAIN):
    """One step."""

    VERSION = 1

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask, and check that there is a bundle."""
        errors = {}
        if user_input is not None:
            try:
                await self.hass.async_add_executor_job(_check, user_input[CONF_BUNDLE])
            except BundleError:
                errors["base"] = "no_bundle"
            else:
                return self.async_create_entry(title="latelite", data=user_input)
        return self.async_show_form(
            step_id="user", data_schema=vol.Schema({vol.Required(CONF_BUNDLE): str}), errors=errors
        )


def _check(folder: str) -> None:
    Bundle(Path(folder)).verify()
