import pytest

from focus_server.errors import SettingsError
from focus_server.recordings.address import MongoAddress


@pytest.mark.parametrize(
    ("url", "shown", "database"),
    [
        ("mongodb://127.0.0.1:27017/prisma", "127.0.0.1:27017", "prisma"),
        ("mongodb://db", "db", "prisma"),
        ("mongodb://user:s3cr%40t@db:1/other?authSource=admin&tls=true", "db:1", "other"),
        ("mongodb://u:s3cret@a:1,b:2,[::1]:3/?replicaSet=r", "a:1,b:2,[::1]:3", "prisma"),
        ("mongodb+srv://u:s3cret@cluster.example.com/x", "cluster.example.com", "x"),
    ],
)
def test_an_address_shows_itself_without_credentials(url, shown, database):
    address = MongoAddress(url)
    assert (str(address), address.database, address.url) == (shown, database, url)
    assert "s3cr" not in repr(address) + str(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:27017",
        "http://u:s3cret@db/x",
        "mongodb://",
        "mongodb://u:s3cret@",
        "mongodb://u:s3/cret@db/prisma",
        "mongodb://u:s3@cret@db/prisma",
        "mongodb://u:s3cret@db/a.b",
        "mongodb://u:s3cret@db/$cmd",
        "mongodb://db:x/prisma",
        "mongodb://db/prisma\n",
        "mongodb://u:s3cret@db/x?authMechanism=none",
        "mongodb://u:s3cret@db/x?tls=maybe",
        "mongodb://u:s3%ret@db/x",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(url):
    with pytest.raises(SettingsError, match="mongo_url") as refused:
        MongoAddress(url)
    assert "s3" not in str(refused.value)
