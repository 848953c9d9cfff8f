"""What an ETag proves of the bytes it was given for."""

import pytest

from generation_history.storage import etags

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
OTHER = "0cc175b9c0f1b6a831c399e269772661"


@pytest.mark.parametrize("tag", [f'"{MD5}"', MD5, MD5.upper(), f' "{MD5}" '])
def test_an_etag_is_an_md5_however_it_is_written(tag: str):
    assert etags.proves({"ETag": tag}, MD5)
    assert not etags.denies({"ETag": tag}, MD5)


@pytest.mark.parametrize("tag", [None, "", '""', f'W/"{MD5}"'])
def test_none_and_one_of_a_rendering_say_nothing(tag: str | None):
    """Servers of pages make weak ones; a store's bytes have one of their own."""
    assert etags.plain(tag) == ""
    assert not etags.proves({"ETag": tag}, MD5)
    assert not etags.denies({"ETag": tag}, MD5)


def test_an_md5_of_other_bytes_denies_them_unless_the_store_encrypts():
    assert etags.denies({"ETag": OTHER}, MD5)
    assert not etags.denies({"ETag": OTHER, "ServerSideEncryption": "aws:kms"}, MD5)
    assert not etags.denies({"ETag": "0x8DC"}, MD5)


def test_an_etag_of_parts_follows_from_theirs():
    assert etags.of_parts([f'"{MD5}"', OTHER]) == "68083ea43d0307eecfa2b4749f19df15-2"
    assert etags.of_parts([MD5, "0x8DC"]) is None
