"""The conversation agent: does what the nearest sentence says, or says that it did not understand."""

from __future__ import annotations

from homeassistant.components import conversation
from homeassistant.core import DOMAIN as HOMEASSISTANT
from homeassistant.core import HomeAssistant
from homeassistant.helpers import intent
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from . import LateliteConfigEntry
from .const import MIN_SCORE
from .sentences import TEMPLATES


async def async_setup_entry(
    hass: HomeAssistant, entry: LateliteConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the agent."""
    async_add_entities([LateliteAgent(entry)])


class LateliteAgent(conversation.ConversationEntity):
    """Understands utterances by their nearest sentence."""

    _attr_has_entity_name = True
    _attr_name = "latelite"

    def __init__(self, entry: LateliteConfigEntry) -> None:
        self._sentences = entry.runtime_data
        self._attr_unique_id = entry.entry_id

    @property
    def supported_languages(self) -> list[str]:
        """The languages of the default model."""
        return list(TEMPLATES)

    async def _async_handle_message(
        self, user_input: conversation.ConversationInput, chat_log: conversation.ChatLog
    ) -> conversation.ConversationResult:
        response = intent.IntentResponse(user_input.language)
        meaning = await self.hass.async_add_executor_job(self._sentences.understand, user_input.text, MIN_SCORE)
        if meaning is None:
            response.async_set_error(intent.IntentResponseErrorCode.NO_INTENT_MATCH, "?")
        else:
            await self.hass.services.async_call(
                HOMEASSISTANT,
                meaning.service,
                {"entity_id": meaning.entity_id},
                blocking=True,
                context=user_input.context,
            )
            response.async_set_speech(meaning.sentence(user_input.language))
            target = intent.IntentResponseTarget(
                intent.IntentResponseTargetType.ENTITY, meaning.name, meaning.entity_id
            )
            response.async_set_results([target])
        return conversation.ConversationResult(response, chat_log.conversation_id)
