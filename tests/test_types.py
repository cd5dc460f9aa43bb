"""What gateways say by their own words: why a reply ended."""

import pytest

from amber_nb.types import finish_kind

WORDS = {
    "stop": "stop end_turn STOP stop_sequence eos_token COMPLETE no_error NO-ERROR toolbox filterless terror lengthy",
    "length": "length MAX_TOKENS max_new_tokens max_output_tokens maxTokens model_length model_context_window_exceeded "
    "incomplete:max_output_tokens ERROR_LIMIT token-limit",
    "content_filter": "content_filter SAFETY content_filtered guardrail_intervened PROHIBITED_CONTENT ERROR_TOXIC "
    "content_filter:recitation incomplete_content_filter sensitive refusal contentFilter",
    "tool_calls": "tool_calls tool_use TOOL_CALL toolUse function_call tools",
    "error": "error ERROR network_error server-error:500 failed MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL "
    "insufficient_system_resource",
    "cut": "abort aborted timeout TIMEOUT timed_out incomplete cancelled canceled USER_CANCEL TOO_MANY_TOOL_CALLS "
    "tool_timeout",
}


@pytest.mark.parametrize(("kind", "reason"), [(kind, word) for kind, words in WORDS.items() for word in words.split()])
def test_a_finish_reason_is_read_by_its_words(kind, reason):
    assert finish_kind(reason) == kind


def test_a_finish_reason_may_be_a_sentence_or_nothing():
    assert finish_kind("the limit: max tokens") == "length"
    assert finish_kind("stopped, no error") == "stop"
    assert finish_kind(None) is finish_kind("") is None
