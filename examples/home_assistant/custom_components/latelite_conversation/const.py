"""Names and numbers of the integration."""

DOMAIN = "latelite_conversation"
CONF_BUNDLE = "bundle"
FOLDER = "latelite_conversation.lt"
"""The collection, in the configuration folder."""
MIN_SCORE = 0.6
"""Below it an utterance is not understood: doing nothing is better than the wrong thing. Questions about other things
reach .59, understood utterances begin at .56."""
