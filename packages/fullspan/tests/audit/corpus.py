"""Tests as people write them: bad ones, each with the rule that must find it, and good ones that no rule may find."""

BAD = {
    "nothing asserted": ("no-assertion", "def test_x(client):\n    client.get('/')\n"),
    "only printed": ("no-assertion", "def test_x(client):\n    print(client.get('/').status_code)\n"),
    "helper asserts nothing": (
        "no-assertion",
        "def fetch(client):\n    return client.get('/')\n\ndef test_x(client):\n    fetch(client)\n",
    ),
    "in a class": ("no-assertion", "class TestX:\n    def test_x(self, client):\n        client.get('/')\n"),
    "asynchronous": ("no-assertion", "async def test_x(client):\n    await client.get('/')\n"),
    "true": ("always-true", "def test_x(client):\n    client.get('/')\n    assert True\n"),
    "a text": ("always-true", "def test_x(client):\n    assert 'it works'\n"),
    "a tuple": ("always-true", "def test_x(client):\n    assert (client.get('/') == 3, 'not three')\n"),
    "or true": ("always-true", "def test_x(client):\n    assert client.get('/') == 3 or True\n"),
    "itself": ("always-true", "def test_x(client):\n    a = client.get('/')\n    assert a.code == a.code\n"),
    "a generator": ("always-true", "def test_x(client):\n    assert (row > 3 for row in client.rows())\n"),
    "a function": ("always-true", "def is_up():\n    return False\n\ndef test_x():\n    assert is_up\n"),
    "a length": ("always-true", "def test_x(client):\n    assert len(client.rows()) >= 0\n"),
    "not false": ("always-true", "def test_x(client):\n    client.get('/')\n    assert not False\n"),
    "two constants": ("always-true", "def test_x(client):\n    client.get('/')\n    assert 1 == 1\n"),
    "everything is an object": ("always-true", "def test_x(client):\n    assert isinstance(client.get('/'), object)\n"),
    "misspelt check of a mock": (
        "always-true",
        "from unittest.mock import Mock\n\ndef test_x(run):\n    m = Mock()\n    run(m)\n"
        "    assert m.called_once_with(3)\n",
    ),
    "check of a mock not called": (
        "always-true",
        "from unittest.mock import Mock\n\ndef test_x(run):\n    m = Mock()\n    assert run(m)\n"
        "    m.assert_called_once\n",
    ),
    "compared and not asserted": (
        "always-true",
        "def test_x(client):\n    client.get('/') == 3\n    assert client.up\n",
    ),
    "unittest's true": (
        "always-true",
        "import unittest\n\nclass TestX(unittest.TestCase):\n    def test_x(self):\n        self.assertTrue(True)\n",
    ),
    "unittest's equal": (
        "always-true",
        "import unittest\n\nclass TestX(unittest.TestCase):\n    def test_x(self):\n        a = f()\n"
        "        self.assertEqual(a, a)\n",
    ),
    "failed assertion swallowed": (
        "swallowed",
        "def test_x(client):\n    try:\n        assert client.get('/') == 3\n    except AssertionError:\n"
        "        pass\n",
    ),
    "any error swallowed": (
        "swallowed",
        "def test_x(client):\n    try:\n        assert client.get('/') == 3\n    except Exception as error:\n"
        "        print(error)\n",
    ),
    "bare except": (
        "swallowed",
        "def test_x(client):\n    try:\n        assert client.get('/') == 3\n    except:\n        return\n",
    ),
    "suppressed": (
        "swallowed",
        "import contextlib\n\ndef test_x(client):\n    with contextlib.suppress(Exception):\n"
        "        assert client.get('/') == 3\n",
    ),
    "swallowed by a helper": (
        "swallowed",
        "import logging\n\ndef get(client):\n    try:\n        return client.get('/')\n    except BaseException:\n"
        "        logging.warning('no')\n\ndef test_x(client):\n    assert get(client) != 3\n",
    ),
    "loop that never gives up with an error": (
        "swallowed",
        "def test_x(client):\n    for _ in range(3):\n        try:\n            assert client.get('/') == 3\n"
        "        except AssertionError:\n            continue\n",
    ),
    "any error welcome": (
        "any-error",
        "import pytest\n\ndef test_x(client):\n    with pytest.raises(Exception):\n        client.get('/')\n",
    ),
    "any error welcome in unittest": (
        "any-error",
        "import unittest\n\nclass TestX(unittest.TestCase):\n    def test_x(self):\n"
        "        with self.assertRaises(Exception):\n            f()\n",
    ),
    "own mock": (
        "mock-success",
        "from unittest.mock import Mock\n\ndef test_x():\n    client = Mock()\n    client.get.return_value = 200\n"
        "    assert client.get('/') == 200\n",
    ),
    "own mock through a name": (
        "mock-success",
        "from unittest.mock import MagicMock\n\ndef test_x():\n    client = MagicMock()\n"
        "    client.get.return_value.status_code = 200\n    answer = client.get('/')\n    code = answer.status_code\n"
        "    assert code == 200\n",
    ),
    "patched and called": (
        "mock-success",
        "import requests\nfrom unittest.mock import patch\n\ndef test_x():\n    with patch('requests.get') as get:\n"
        "        get.return_value.status_code = 200\n        assert requests.get('http://x').status_code == 200\n",
    ),
    "monkeypatched and called": (
        "mock-success",
        "import requests\n\ndef test_x(monkeypatch):\n    monkeypatch.setattr(requests, 'get', lambda url: 200)\n"
        "    assert requests.get('http://x') == 200\n",
    ),
    "sleep": (
        "sleep",
        "import time\n\ndef test_x(client):\n    client.go()\n    time.sleep(5)\n    assert client.done\n",
    ),
    "bare sleep": (
        "sleep",
        "from time import sleep\n\ndef test_x(client):\n    client.go()\n    sleep(5)\n    assert client.done\n",
    ),
    "asynchronous sleep": (
        "sleep",
        "import asyncio\n\nasync def test_x(client):\n    await asyncio.sleep(0.5)\n    assert client.done\n",
    ),
    "browser's sleep": ("sleep", "def test_x(page):\n    page.wait_for_timeout(500)\n    assert page.title() == 'x'\n"),
    "sleep in a loop that does not look": (
        "sleep",
        "import time\n\ndef test_x(client):\n    for _ in range(3):\n        client.go()\n        time.sleep(1)\n"
        "    assert client.done\n",
    ),
    "marker without a reason": (
        "marker",
        "import time\n\ndef test_x(client):\n    while not client.done:\n        time.sleep(1)  # audit: sleep\n"
        "    assert client.done\n",
    ),
    "marker of nothing": ("marker", "def test_x(client):\n    assert client.done  # audit: sleep because it is fun\n"),
    "marker of no rule": ("marker", "def test_x(client):\n    assert client.done  # audit: naps because it is fun\n"),
}

GOOD = {
    "plain": "def test_x(client):\n    assert client.get('/').status_code == 200\n",
    "helper asserts": (
        "def must_be_up(client):\n    assert client.get('/') == 200\n\ndef test_x(client):\n    must_be_up(client)\n"
    ),
    "helper of a helper asserts": (
        "def look(client):\n    if client.get('/') != 200:\n        raise ValueError('down')\n\ndef twice(client):\n"
        "    look(client)\n    look(client)\n\ndef test_x(client):\n    twice(client)\n"
    ),
    "fixture asserts": (
        "import pytest\n\n@pytest.fixture\ndef clean():\n    yield\n    assert left() == []\n\ndef test_x(clean):\n"
        "    go()\n"
    ),
    "raises": "import pytest\n\ndef test_x():\n    with pytest.raises(ValueError):\n        go(-1)\n",
    "raises anything with words": (
        "import pytest\n\ndef test_x():\n    with pytest.raises(Exception, match='too small'):\n        go(-1)\n"
    ),
    "raises anything and looks": (
        "import pytest\n\ndef test_x():\n    with pytest.raises(Exception) as caught:\n        go(-1)\n"
        "    assert caught.value.args == (3,)\n"
    ),
    "mock called": (
        "from unittest.mock import Mock\n\ndef test_x():\n    told = Mock()\n    go(told)\n"
        "    told.assert_called_once_with(3)\n"
    ),
    "mock within real code": (
        "from unittest.mock import Mock\n\ndef test_x():\n    client = Mock()\n    client.get.return_value = 200\n"
        "    assert is_up(client)\n"
    ),
    "patched under real code": (
        "from unittest.mock import patch\n\ndef test_x():\n    with patch('requests.get') as get:\n"
        "        get.return_value.status_code = 200\n        answer = fetch('http://x')\n    assert answer == 200\n"
    ),
    "mock's calls after real code": (
        "from unittest.mock import Mock\n\ndef test_x():\n    told = Mock()\n    result = go(told)\n"
        "    assert told.call_count == 3\n    assert result == 3\n"
    ),
    "only the mock's calls after real code": (
        "from unittest.mock import Mock\n\ndef test_x():\n    told = Mock()\n    go(told)\n"
        "    assert told.call_count == 3\n"
    ),
    "narrow error": (
        "def test_x(client):\n    try:\n        answer = client.get('/')\n    except TimeoutError:\n"
        "        answer = None\n"
        "    assert answer == 3\n"
    ),
    "error kept": (
        "def test_x(client):\n    errors = []\n    try:\n        client.get('/')\n    except Exception as error:\n"
        "        errors.append(error)\n    assert errors == []\n"
    ),
    "error passed on": (
        "def test_x(client):\n    try:\n        assert client.get('/') == 3\n    except AssertionError:\n"
        "        client.dump()\n        raise\n"
    ),
    "tried again with a deadline": (
        "import time\n\ndef test_x(client):\n    deadline = time.monotonic() + 3\n    while True:\n        try:\n"
        "            assert client.get('/') == 3\n            return\n        except AssertionError:\n"
        "            pass\n        if time.monotonic() > deadline:\n            raise TimeoutError\n"
    ),
    "waits for the condition": (
        "import time\n\ndef test_x(client):\n    deadline = time.monotonic() + 3\n    while not client.done:\n"
        "        assert time.monotonic() < deadline\n        time.sleep(0.05)\n    assert client.rows == 3\n"
    ),
    "sleeps no time": (
        "import asyncio\n\nasync def test_x(client):\n    await asyncio.sleep(0)\n    assert client.done\n"
    ),
    "justified sleep": (
        "import time\n\ndef test_x(client):\n    # audit: sleep because the fault lasts that long\n    time.sleep(5)\n"
        "    assert client.done\n"
    ),
    "justified smoke test": (
        "# audit: no-assertion because an exception is what it is about\ndef test_x(client):\n    client.get('/')\n"
    ),
    "asserts false": "def test_x(client):\n    if client.up:\n        assert False, 'it must be down'\n",
    "may be none": (
        "def test_x(client):\n    row = client.row()\n    assert row is not None\n    assert row.value == 3\n"
    ),
    "same call twice": "def test_x(client):\n    assert client.next() == client.next()\n",
    "some length": "def test_x(client):\n    assert len(client.rows()) > 0\n",
    "empty list": "def test_x(client):\n    assert client.rows() == []\n",
    "not a number": "def test_x(value):\n    assert value() != value()\n",
    "comparison used": "def test_x(client):\n    same = client.get('/') == 3\n    assert same\n",
    "unittest": (
        "import unittest\n\nclass TestX(unittest.TestCase):\n    def test_x(self):\n        self.assertEqual(f(), 3)\n"
    ),
    "not a test": "def test_y():\n    assert f() == 3\n\ndef setup():\n    go()\n",
}
