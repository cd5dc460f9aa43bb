"""Addresses as people paste them."""

import pytest

from amber_nb.base_url import resolve_base_url

ACME = "https://acme.ambersearch.de/api/beta/openai/v1"


@pytest.mark.parametrize(
    "pasted",
    [
        {"base_url": ACME + "/chat/completions"},
        {"base_url": ACME + "/chat/completions/"},
        {"base_url": ACME + "/"},
        {"domain": ACME + "/chat/completions"},
    ],
)
def test_the_address_of_the_vendors_page_is_understood(pasted):
    assert resolve_base_url(**pasted) == ACME
