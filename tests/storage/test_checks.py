"""The question that is asked before anything is begun: what cannot work is told by the setting that is wrong."""

from dataclasses import replace

import pytest

from generation_history import settings
from generation_history.errors import NotAllowed, NotConfigured, ProviderUnavailable, StorageError
from generation_history.providers.sora import SoraProvider
from generation_history.settings import SpacesSettings
from generation_history.storage.object_store import ObjectStore
from tests.support.scripted_server import Answer, ScriptedServer, answer, hang_up

#: Servers that are there and are something else.
STRANGERS = {
    "no such path": answer(404, {"error": "not found"}),
    "a page that says so": answer(404, b"<html><body>not found</body></html>", kind="text/html"),
    "a page": answer(200, b"<html><body>hello</body></html>", kind="text/html"),
    "another page": answer(200, b"<html>hello<br></html>", kind="text/html"),
    "an object": answer(200, {"hello": "world"}),
    "nothing": answer(200),
    "somewhere else": answer(302, Location="https://elsewhere.example/"),
    "a method it does not have": answer(405),
    "a call it does not have": answer(501),
    "an error": answer(500),
    "no answer": hang_up,
}


@pytest.mark.parametrize("given", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_server_that_lists_no_videos_is_a_wrong_sora_base_url(scripted: ScriptedServer, given: Answer):
    scripted.script(given)

    with pytest.raises(ProviderUnavailable, match=r"^SORA_BASE_URL: (?!SORA)[^\n]+$"):
        SoraProvider(scripted.base_url, "some-key").check()


@pytest.mark.parametrize("status", [401, 403])
def test_a_provider_that_refuses_the_key_is_a_wrong_openai_api_key(scripted: ScriptedServer, status: int):
    scripted.script(answer(status, {"error": {"message": "some-key is no key"}}))

    with pytest.raises(NotAllowed, match=r"^OPENAI_API_KEY was refused") as refused:
        SoraProvider(scripted.base_url, "some-key").check()

    assert "some-key" not in str(refused.value)


def test_a_provider_without_any_videos_yet_will_do(scripted: ScriptedServer):
    scripted.script(answer(200, {"object": "list", "data": []}))

    SoraProvider(scripted.base_url, "some-key").check()


@pytest.mark.parametrize("given", [*STRANGERS.values(), answer(401), answer(403)], ids=[*STRANGERS, "401", "403"])
def test_a_server_that_is_no_object_store_is_a_wrong_do_spaces_endpoint(
    scripted: ScriptedServer, spaces: SpacesSettings, given: Answer
):
    scripted.script(given)
    elsewhere = replace(spaces, endpoint=scripted.base_url.removesuffix("/v1"))

    with pytest.raises(StorageError, match=r"^DO_SPACES_ENDPOINT\b[^\n]+$"):
        ObjectStore(elsewhere).check()


@pytest.mark.parametrize("name", ["Bad Bucket!", "UPPER", "ab", "x" * 64, "-videos", "videos-", "a/b", "ümlaut"])
def test_a_name_that_no_bucket_can_have_is_not_blamed_on_the_endpoint(
    spaces: SpacesSettings, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv("DO_SPACES_BUCKET", name)

    with pytest.raises(NotConfigured, match=r"^DO_SPACES_BUCKET must"):
        settings.spaces()
