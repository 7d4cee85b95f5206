"""Home Assistant: the example's agent understands seven languages, and does nothing when it does not understand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "pytest_homeassistant_custom_component", reason="Home Assistant is not installed: make test-integrations"
)

from homeassistant.components import conversation
from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import intent
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from .conftest import BUNDLE

DOMAIN = "latelite_conversation"
EXAMPLE = Path(__file__).parents[2] / "examples" / "home_assistant"
NAMES = {
    "kitchen": "Kitchen light",
    "bedroom": "Schlafzimmerlampe",
    "coffee": "Coffee machine",
    "fan": "Ventilator im Wohnzimmer",
}
UTTERANCES = [
    ("de", "Mach bitte das Licht in der Küche an", "kitchen", STATE_ON),
    ("de", "Kaffeemaschine ausschalten", "coffee", STATE_OFF),
    ("en", "Could you switch the bedroom lamp off?", "bedroom", STATE_OFF),
    ("en", "switch on the coffee machine", "coffee", STATE_ON),
    ("es", "Enciende la luz de la cocina", "kitchen", STATE_ON),
    ("fr", "Allume la lampe de la chambre", "bedroom", STATE_ON),
    ("it", "spegni il ventilatore in soggiorno", "fan", STATE_OFF),
    ("nl", "doe het licht in de keuken uit", "kitchen", STATE_OFF),
    ("pt", "liga a máquina de café", "coffee", STATE_ON),
]


@pytest.fixture(autouse=True)
def example(
    enable_custom_integrations: None, hass: HomeAssistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    for name in [each for each in sys.modules if each.split(".")[0] == "custom_components"]:
        monkeypatch.delitem(sys.modules, name)  # those of the plugin
    hass.config.config_dir = str(tmp_path)


@pytest.fixture
async def entry(hass: HomeAssistant) -> MockConfigEntry:
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "conversation", {})
    booleans = {key: {"name": name} for key, name in NAMES.items()}
    assert await async_setup_component(hass, "input_boolean", {"input_boolean": booleans})
    for key in NAMES:
        async_expose_entity(hass, conversation.DOMAIN, f"input_boolean.{key}", True)
    made = MockConfigEntry(domain=DOMAIN, data={"bundle": str(BUNDLE)})
    made.add_to_hass(hass)
    assert await hass.config_entries.async_setup(made.entry_id)
    await hass.async_block_till_done()
    return made


async def say(hass: HomeAssistant, text: str, language: str) -> intent.IntentResponse:
    result = await conversation.async_converse(
        hass, text, None, Context(), language=language, agent_id="conversation.latelite"
    )
    await hass.async_block_till_done()
    return result.response


async def test_utterances_in_seven_languages(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert {language for language, *_ in UTTERANCES} == {"de", "en", "es", "fr", "it", "nl", "pt"}
    for language, text, key, state in UTTERANCES:
        entity_id = f"input_boolean.{key}"
        hass.states.async_set(entity_id, STATE_OFF if state == STATE_ON else STATE_ON)
        opposite = "turn_off" if state == STATE_ON else "turn_on"
        await hass.services.async_call("input_boolean", opposite, {"entity_id": entity_id}, blocking=True)
        others = {other: hass.states.get(other).state for other in hass.states.async_entity_ids("input_boolean")}  # type: ignore[union-attr]
        response = await say(hass, text, language)
        assert response.response_type is intent.IntentResponseType.ACTION_DONE, text
        now = {other: hass.states.get(other).state for other in others}  # type: ignore[union-attr]
        assert now == {**others, entity_id: state}, text
        assert NAMES[key] in response.speech["plain"]["speech"]


@pytest.mark.parametrize(
    "text", ["What is the capital of France?", "Wie wird das Wetter morgen?", "quanto fa due più due"]
)
async def test_nothing_is_done_when_it_is_not_understood(
    hass: HomeAssistant, entry: MockConfigEntry, text: str
) -> None:
    before = [state.state for state in hass.states.async_all("input_boolean")]
    response = await say(hass, text, "en")
    assert response.error_code is intent.IntentResponseErrorCode.NO_INTENT_MATCH
    assert [state.state for state in hass.states.async_all("input_boolean")] == before


async def test_the_action_finds_entities(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    answer: Any = await hass.services.async_call(
        DOMAIN, "find_entity", {"text": "la lampe de la chambre", "limit": 2}, blocking=True, return_response=True
    )
    names = [each["name"] for each in answer["entities"]]
    assert (names[0], len(names)) == ("Schlafzimmerlampe", 2)


async def test_reloading_learns_new_names_and_forgets_old_ones(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    hass.states.async_remove("input_boolean.coffee")
    hass.states.async_set("input_boolean.garden", STATE_OFF, {"friendly_name": "Gartenbewässerung"})
    async_expose_entity(hass, conversation.DOMAIN, "input_boolean.garden", True)
    assert await hass.config_entries.async_reload(entry.entry_id)
    for text, name in (("apaga el riego del jardín", "Gartenbewässerung"), ("Coffee machine", "Kitchen light")):
        answer: Any = await hass.services.async_call(
            DOMAIN, "find_entity", {"text": text, "limit": 9}, blocking=True, return_response=True
        )
        names = [each["name"] for each in answer["entities"]]
        assert "Coffee machine" not in names
        assert name in names
        if name == "Gartenbewässerung":
            assert names[0] == name


async def test_a_bundle_that_is_none_is_named(hass: HomeAssistant, tmp_path: Path) -> None:
    started = await hass.config_entries.flow.async_init(DOMAIN, context={"source": "user"})
    refused = await hass.config_entries.flow.async_configure(started["flow_id"], {"bundle": str(tmp_path)})
    assert refused["errors"] == {"base": "no_bundle"}
    made = await hass.config_entries.flow.async_configure(started["flow_id"], {"bundle": str(BUNDLE)})
    await hass.async_block_till_done()
    assert made["type"] == "create_entry"
    gone = MockConfigEntry(domain=DOMAIN, data={"bundle": str(tmp_path / "none")})
    await hass.config_entries.async_remove(made["result"].entry_id)
    gone.add_to_hass(hass)
    await hass.config_entries.async_setup(gone.entry_id)
    assert gone.state is ConfigEntryState.SETUP_ERROR
