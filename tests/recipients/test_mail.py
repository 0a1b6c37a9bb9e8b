"""Letters by e-mail, over a real server that breaks off wherever a test says."""

from __future__ import annotations

import hashlib
import ssl
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.connections import Environment
from include.model.doors import Endpoint
from include.model.errors import Refused
from include.model.notices import Delivery, Identity, Notice
from include.recipients.mail import Mail, address_in
from include.sandbox.stack.ports import free_port
from tests.recipients.authority import Authority
from tests.recipients.letterbox import Letterbox
from tests.recipients.making import BODY, notice

US, THEM = "privacy@itrus.example", "dpo@baiwang.example"


def mail(box: Letterbox, **said: Any) -> Mail:
    server = Endpoint(said.pop("url", box.url), login=said.pop("login", US), **said)
    return Mail(BODY["baiwang"], THEM, server, silence=2)


def sent(box: Letterbox, letter: Notice | None = None, **said: Any) -> Delivery:
    channel = mail(box, **said)
    try:
        return channel.send(letter or notice("baiwang"))
    finally:
        channel.close()


def test_a_letter_arrives_in_chinese(letterbox: Letterbox) -> None:
    said = notice("baiwang")
    delivery = sent(letterbox, said)
    assert delivery.outcome == "delivered", delivery.why
    sender, to, raw = letterbox.letters[0]
    assert (sender, to) == (US, THEM)
    assert delivery.receipt == hashlib.sha256(raw).hexdigest()
    got = letterbox.read()
    assert got["Message-ID"] == f"<{said.request_id}@itrus.example>"
    assert got["To"].addresses[0].display_name == BODY["baiwang"].name
    assert "CASE-000042" in got["Subject"] and "通知" in got["Subject"]
    assert parsedate_to_datetime(got["Date"]).tzinfo is not None
    text = got.get_content()
    assert "百望股份有限公司" in text and "txn-7f3a" in text
    assert "txn-7f3a" not in "".join(map(str, got.values()))


def test_a_reminder_follows_its_letter(letterbox: Letterbox) -> None:
    said = notice("baiwang")
    channel = mail(letterbox)
    channel.send(said)
    channel.send(said.model_copy(update={"reminder": True}))
    channel.close()
    first, second = letterbox.read(0), letterbox.read(1)
    assert second["In-Reply-To"] == first["Message-ID"] != second["Message-ID"]
    assert "催办" in second["Subject"]


def test_a_batch_goes_over_one_connection(letterbox: Letterbox) -> None:
    channel = mail(letterbox)
    assert {channel.send(notice("baiwang")).outcome for _ in range(5)} == {"delivered"}
    letterbox.mode = "RCPT 550"
    assert channel.send(notice("baiwang")).outcome == "refused"
    letterbox.mode = ""
    assert channel.send(notice("baiwang")).outcome == "delivered"
    channel.close()
    assert len(letterbox.letters) == 6


OUTCOMES = {
    "MAIL": "later", "RCPT": "later", "before DATA": "later", "DATA": "in_doubt",
    "MAIL 451": "later", "RCPT 450": "later", "DATA 452": "later", "MAIL 421": "later",
    "MAIL 550": "refused", "RCPT 550": "refused", "DATA 554": "refused", "DATA 250": "delivered",
    "DATA 777": "in_doubt",
}  # fmt: skip


@pytest.mark.parametrize("mode", OUTCOMES)
def test_where_it_breaks_decides(mode: str, letterbox: Letterbox) -> None:
    letterbox.mode = mode
    delivery = sent(letterbox)
    assert delivery.outcome == OUTCOMES[mode], delivery
    assert (delivery.again_in is not None) == (delivery.outcome == "later")
    if code := mode.partition(" ")[2]:
        assert code not in ("451", "450", "452", "550", "554") or code in delivery.why
    assert not mail(letterbox).repeatable


def test_after_a_break_the_next_letter_takes_a_new_connection(letterbox: Letterbox) -> None:
    channel = mail(letterbox)
    letterbox.mode = "RCPT"
    assert channel.send(notice("baiwang")).outcome == "later"
    letterbox.mode = ""
    assert channel.send(notice("baiwang")).outcome == "delivered"
    channel.close()


def test_one_doubt_is_enough_for_a_batch(letterbox: Letterbox) -> None:
    channel = mail(letterbox)
    letterbox.mode = "DATA"
    assert [channel.send(notice("baiwang")).outcome for _ in range(4)] == ["in_doubt", *["later"] * 3]
    assert len(letterbox.letters) == 1


def test_a_server_that_keeps_breaking_off_is_not_tried_for_the_whole_batch(letterbox: Letterbox) -> None:
    channel = mail(letterbox)
    letterbox.mode = "MAIL"
    assert {channel.send(notice("baiwang")).outcome for _ in range(3)} == {"later"}
    letterbox.mode = ""
    assert channel.send(notice("baiwang")).outcome == "later" and not letterbox.letters


def test_nobody_at_the_mail_server_is_tried_once_a_batch(letterbox: Letterbox) -> None:
    channel = mail(letterbox, url=f"smtp://127.0.0.1:{free_port()}")
    first = channel.send(notice("baiwang"))
    assert first.outcome == "later" and "mail server" in first.why
    assert channel.send(notice("baiwang")) is first


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("trusted", [True, False])
def test_tls_to_the_mail_server_is_verified(trusted: bool, tmp_path: Path) -> None:
    authority, box = Authority(), Letterbox(port=free_port())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1", "localhost").files(tmp_path))

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    class Implicit(Controller):
        def _trigger_server(self) -> None:  # its own client would not trust our authority
            self._factory_invoked.set()
            self.smtpd = object()  # type: ignore[assignment]

    controller = Implicit(box, hostname="127.0.0.1", port=box.port, ssl_context=context, authenticator=login,
                          auth_required=True, auth_require_tls=False)  # fmt: skip
    controller.start()
    try:
        url, known = f"smtps://127.0.0.1:{box.port}", authority.file(tmp_path) if trusted else None
        found = sent(box, url=url, secret="right", authority=known)
        if not trusted:
            assert found.outcome == "later" and found.why.startswith("TLS:")
            return
        assert found.outcome == "delivered", found
        wrong = sent(box, url=url, secret="wrong", authority=known)
        assert wrong.outcome == "later" and "turned us away" in wrong.why
    finally:
        controller.stop()


NASTY = st.text(st.sampled_from("\r\n:,<>@ .aB甲\x00\u2028\u0085"), max_size=30)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(NASTY, NASTY, NASTY)
def test_nothing_in_a_notice_becomes_a_header_or_a_command(
    letterbox: Letterbox, a: str, b: str, c: str
) -> None:
    letterbox.letters.clear()
    body = BODY["baiwang"].model_copy(update={"name": f"公司{a}\r\nBcc: evil@evil.example"})
    said = notice(
        "baiwang", law=f"PIPL 47{b}\r\n.\r\nMAIL FROM:<x@y>", references=(f"{c}\r\nX-Evil: 1\r\n\r\n.\r\n",),
        identities=(Identity(category="PI-001", value=a + "\n" + b),), text=c,
    )  # fmt: skip
    channel = Mail(body, THEM, Endpoint(letterbox.url, login=US), silence=2)
    try:
        assert channel.send(said).outcome == "delivered"
    finally:
        channel.close()
    assert len(letterbox.letters) == 1
    got = letterbox.read()
    assert {k.lower() for k in got} == {
        "from", "to", "subject", "date", "message-id", "content-type", "content-transfer-encoding", "mime-version"
    }  # fmt: skip
    assert [a.addr_spec for a in got["To"].addresses] == [THEM]
    assert got.get_content().rstrip().endswith("请妥善保管。")


def test_an_address_is_one_and_nothing_else() -> None:
    assert address_in("mailto:dpo@baiwang.example") == "dpo@baiwang.example"
    for wrong in ("https://baiwang.example", "mailto:", "mailto:a@b.example,c@d.example", "mailto:a@b.example?bcc=c@d",
                  "mailto:a@b.example%0d%0aRCPT", "mailto:a b@c.example", "a@b.example"):  # fmt: skip
        assert address_in(wrong) is None, wrong
    for to, login in ((THEM, "privacy"), (THEM, ""), ("dpo", US), (THEM + "\r\nX", US)):
        with pytest.raises(Refused, match="no address"):
            Mail(BODY["baiwang"], to, Endpoint("smtp://127.0.0.1", login=login))


def test_the_environment_hands_out_an_address_for_letters() -> None:
    said = Environment({"QUIETUS_CONN_RECIPIENT_BAIWANG": '{"extra": {"url": "mailto:dpo@baiwang.example"}}'})
    assert address_in(said.endpoint("recipient_baiwang").url) == "dpo@baiwang.example"
