"""A conversation agent that turns exposed entities on and off, understood offline in seven languages."""

from __future__ import annotations

from pathlib import Path

import voluptuous as vol
from homeassistant.components.conversation import DOMAIN as CONVERSATION  # the package has a module of that name, too
from homeassistant.components.homeassistant.exposed_entities import async_should_expose
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse
from homeassistant.exceptions import ConfigEntryError, ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import ConfigType

from latelite.errors import LateliteError

from .const import CONF_BUNDLE, DOMAIN, FOLDER
from .sentences import SERVICES, Sentences

LateliteConfigEntry = ConfigEntry[Sentences]

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)
FIND_ENTITY = vol.Schema(
    {vol.Required("text"): cv.string, vol.Optional("limit", default=3): vol.All(vol.Coerce(int), vol.Range(1, 20))}
)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the action, which needs the entry when it is called."""

    async def find_entity(call: ServiceCall) -> ServiceResponse:
        entries = hass.config_entries.async_loaded_entries(DOMAIN)
        if not entries:
            raise ServiceValidationError("latelite conversation is not set up.")
        sentences: Sentences = entries[0].runtime_data
        found = await hass.async_add_executor_job(sentences.entities, call.data["text"], call.data["limit"])
        return {
            "entities": [
                {"entity_id": each.entity_id, "name": each.name, "score": round(each.score, 3)} for each in found
            ]
        }

    hass.services.async_register(
        DOMAIN, "find_entity", find_entity, FIND_ENTITY, supports_response=SupportsResponse.ONLY
    )
    return True


async def async_setup_entry(hass: HomeAssistant, entry: LateliteConfigEntry) -> bool:
    """Make the collection of the entities that are exposed now; reload the entry after exposing or renaming others."""
    entities = {
        state.entity_id: state.name
        for state in hass.states.async_all()
        if async_should_expose(hass, CONVERSATION, state.entity_id)
        and all(hass.services.has_service(state.domain, service) for service in SERVICES)
    }

    def opened() -> Sentences:
        sentences = Sentences(Path(hass.config.path(FOLDER)), Path(entry.data[CONF_BUNDLE]))
        sentences.update(entities)
        return sentences

    try:
        entry.runtime_data = await hass.async_add_executor_job(opened)
    except LateliteError as error:
        raise ConfigEntryError(str(error)) from error
    await hass.config_entries.async_forward_entry_setups(entry, [Platform.CONVERSATION])
    return True


async def async_unload_entry(hass: HomeAssistant, entry: LateliteConfigEntry) -> bool:
    """Let go of the collection."""
    unloaded = await hass.config_entries.async_unload_platforms(entry, [Platform.CONVERSATION])
    if unloaded:
        await hass.async_add_executor_job(entry.runtime_data.close)
    return unloaded
