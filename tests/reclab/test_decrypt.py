"""`reclab decrypt`: what OpenSSL makes is read, what cannot be proved is not written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from reclab.decrypt_command import decrypt
from recording_format.archive import archive_prefix
from recording_format.envelope import Envelope
from service_shell.settings import SettingsError
from tests.crypto_server.keys import KeyPair
from tests.crypto_server.recordings import MadeRecording, encrypted, plain, wav
from tests.recording_format.authority import issue, key_pem, recorder, root, rsa_key
from tests.recording_format.openssl import openssl

SOUND = wav(100_001)
Run = Callable[..., tuple[int, str]]


def pair(number: int) -> KeyPair:
    """Return a recorder of the tests' CA."""
    return KeyPair(recorder(number).recording(), recorder(number).key)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a recording for recorders 1 and 2, its papers and their keys."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, encrypted(SOUND, pair(1), pair(2)))
    for number in (1, 2, 3):
        (tmp_path / f"{number}.key").write_bytes(key_pem(recorder(number).key))
        (tmp_path / f"{number}.pem").write_text(recorder(number).pem)
    return tmp_path


def write(folder: Path, made: MadeRecording) -> None:
    """Write a recording: the pair, the archive form and the metadata."""
    envelope = Envelope.from_pem(made.media["pkcs7"])
    (folder / "x.bin").write_bytes(made.stored)
    (folder / "x.pem").write_text(made.media["pkcs7"])
    (folder / "a.bin").write_bytes(archive_prefix(envelope, len(made.stored)) + made.stored)
    (folder / "recording.json").write_bytes(made.answer)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Give what runs the command: exit code, and all that was said."""

    def run(*arguments: str) -> tuple[int, str]:
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(decrypt)
        try:
            code = app(list(arguments), standalone_mode=False)
        except SettingsError as error:
            return 2, str(error)
        said = capsys.readouterr()
        return code or 0, said.out + said.err

    return run


def left(folder: Path) -> set[str]:
    """Return the names of the files that a command could have written."""
    known = ("x.", "a.", "recording", "1.", "2.", "3.")
    return {file.name for file in folder.iterdir() if not file.name.startswith(known)}


@pytest.mark.parametrize(
    ("arguments", "trust"),
    [
        (("x.bin", "--envelope", "x.pem"), "unverified: no metadata was given"),
        (("x.bin", "--envelope", "recording.json"), "verified: digests and mac"),
        (("a.bin",), "unverified: no metadata was given"),
        (("a.bin", "--envelope", "recording.json"), "verified: digests and mac"),
        (("a.bin", "--envelope", "x.pem"), "unverified"),
        (("x.bin", "--envelope", "x.pem", "--certificate", "2.pem"), "unverified"),
    ],
)
def test_both_forms_open(folder: Path, run: Run, arguments: tuple[str, ...], trust: str) -> None:
    """The pair and the archive form open with a recipient's key; it says what was proved."""
    before = os.umask(0)
    try:
        code, said = run(*arguments, "--key", "2.key", "--out", "out.wav")
    finally:
        os.umask(before)
    assert (code, left(folder)) == (0, {"out.wav"})
    assert trust in said
    assert (folder / "out.wav").read_bytes() == SOUND
    assert (folder / "out.wav").stat().st_mode & 0o777 == 0o600


def test_json_tells_the_same(folder: Path, run: Run) -> None:
    """The outcome as JSON has the bytes that were written, and whether they are verified."""
    arguments = ("x.bin", "--envelope", "recording.json", "--key", "1.key", "--out", "o", "--json")
    code, said = run(*arguments)
    assert code == 0
    assert json.loads(said) == {
        "file": "x.bin", "out": "o", "bytes": len(SOUND), "verified": True,
    }  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("stream", ["", "-stream"])
@pytest.mark.parametrize("program", ["cms", "smime"])
def test_theirs_by_ours(folder: Path, run: Run, program: str, stream: str) -> None:
    """What `openssl cms` and `openssl smime` encrypted comes out, streamed or not."""
    (folder / "x.wav").write_bytes(SOUND)
    line = f"{program} -encrypt {stream} -aes256 -binary -outform DER -in x.wav -out x.p7 1.pem"
    openssl(*line.split(), folder=folder)
    assert run("x.p7", "--key", "1.key", "--out", "out")[0] == 0
    assert (folder / "out").read_bytes() == SOUND


@pytest.mark.peer
@pytest.mark.parametrize("options", ["-recip 1.pem -keyopt rsa_padding_mode:oaep", "-keyid i.pem"])
def test_foreign_forms_by_ours(folder: Path, run: Run, options: str) -> None:
    """OAEP and key identifiers open with the bare private key, too."""
    one = issue("identified", rsa_key(1), issuer=root(), serial=70, key_ids=True)
    (folder / "x.wav").write_bytes(SOUND)
    (folder / "i.pem").write_text(one.pem)
    line = f"cms -encrypt -aes256 -binary -outform DER -in x.wav -out x.p7 {options}"
    openssl(*line.split(), folder=folder)
    assert run("x.p7", "--key", "1.key", "--out", "out")[0] == 0
    assert (folder / "out").read_bytes() == SOUND


@pytest.mark.peer
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("cms -encrypt -aes-256-gcm -outform DER", "authenticated_enveloped_data, not enveloped"),
        ("cms -encrypt -aes192 -outform DER", "the cipher aes192_cbc is not"),
        ("cms -data_create -outform DER", "PKCS#7 data, not enveloped data"),
        ("cms -encrypt -aes256 -outform PEM", "the file is text (PEM or S/MIME)"),
        ("smime -encrypt -aes256", "the file is text (PEM or S/MIME)"),
    ],
)
def test_other_files_say_what_they_are(folder: Path, run: Run, line: str, sentence: str) -> None:
    """Other ciphers, kinds and encodings are refused by what they are."""
    (folder / "x.wav").write_bytes(SOUND)
    recipient = "1.pem" if "-encrypt" in line else ""
    openssl(*f"{line} -binary -in x.wav -out x.p7 {recipient}".split(), folder=folder)
    code, said = run("x.p7", "--key", "1.key", "--out", "out")
    assert code == 1
    assert sentence in said
    assert left(folder) == set()


@pytest.mark.peer
def test_ours_by_theirs_and_ours(folder: Path, run: Run) -> None:
    """OpenSSL and this command make the same bytes of the same files."""
    for line, arguments in (
        (
            "cms -decrypt -inform PEM -in x.pem -content x.bin -inkey 1.key -binary -out theirs",
            ("x.bin", "--envelope", "x.pem"),
        ),
        ("smime -decrypt -inform DER -in a.bin -inkey 1.key -out theirs", ("a.bin",)),
    ):
        openssl(*line.split(), folder=folder)
        assert run(*arguments, "--key", "1.key", "--out", "ours")[0] == 0
        assert (folder / "theirs").read_bytes() == (folder / "ours").read_bytes() == SOUND


@pytest.mark.peer
@pytest.mark.parametrize("form", ["rsa -traditional", "pkcs8 -topk8 -nocrypt", "pkcs8 -topk8"])
def test_every_form_of_a_key(folder: Path, run: Run, form: str) -> None:
    """The three PEM forms of a private key open it, the encrypted one with its password's file."""
    protected = "-passout pass:geheim" if form.endswith("-topk8") else ""
    openssl(*f"{form} -in 1.key -out k.key {protected}".split(), folder=folder)
    (folder / "pw").write_text("geheim\nand another line\n")
    password = ("--password-file", "pw") if protected else ()
    assert run("a.bin", "--key", "k.key", "--out", "out", *password)[0] == 0
    assert (folder / "out").read_bytes() == SOUND


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("x.bin", "--envelope", "x.pem", "--key", "3.key"), 1, "not open with this private key"),
        (("x.bin", "--envelope", "recording.json", "--key", "3.key"), 1, "not open with this"),
        (("a.bin", "--key", "3.key"), 1, "not open with this private key"),
        (("x.bin", "--key", "1.key"), 1, "its envelope is needed too (--envelope)"),
        (("x.cut", "--envelope", "x.pem", "--key", "1.key"), 1, "the ciphertext is cut: 99999"),
        (("x.cut", "--envelope", "recording.json", "--key", "1.key"), 1, "ends after 99999 of its"),
        (("x.less", "--envelope", "x.pem", "--key", "1.key"), 1, "does not decrypt under this key"),
        (("x.more", "--envelope", "recording.json", "--key", "1.key"), 1, "is longer than its"),
        (("x.none", "--envelope", "recording.json", "--key", "1.key"), 1, "the file is empty"),
        (("x.other", "--envelope", "x.pem", "--key", "1.key"), 1, "is no WAV, MP3 or MP4"),
        (("x.flip", "--envelope", "recording.json", "--key", "1.key"), 1, "chunk 0 of the cipher"),
        (("a.cut", "--key", "1.key"), 1, "the archive file is torn: it ends after"),
        (("a.more", "--key", "1.key"), 1, "goes on after its end"),
        (("x.bin", "--envelope", "x.mac", "--key", "1.key"), 1, "the mac of the recording"),
        (
            ("x.bin", "--envelope", "x.pem", "--key", "1.key", "--certificate", "3.pem"),
            1,
            "the private key is not the one of",
        ),
        (
            ("x.bin", "--envelope", "x.pem", "--key", "3.key", "--certificate", "3.pem"),
            1,
            "the envelope is not for the certificate",
        ),
        (("x.bin", "--envelope", "x.pem", "--key", "x.enc"), 2, "password"),
        (
            ("x.bin", "--envelope", "x.pem", "--key", "x.enc", "--password-file", "x.pw"),
            2,
            "password",
        ),
        (
            ("x.bin", "--envelope", "x.pem", "--key", "1.key", "--password-file", "x.pw"),
            2,
            "password",
        ),
        (
            ("x.bin", "--envelope", "x.pem", "--key", "1.key", "--password-file", "x.none"),
            2,
            "is empty",
        ),
        (("x.bin", "--envelope", "x.pem", "--key", "1.pem"), 2, "1.pem"),
        (("x.bin", "--envelope", "1.pem", "--key", "1.key"), 2, "holds 0 PKCS#7 envelopes"),
        (("x.bin", "--envelope", "x.bin", "--key", "1.key"), 2, "holds 0 PKCS#7 envelopes"),
        (("x.bin", "--envelope", "x.plain", "--key", "1.key"), 2, "it is not encrypted"),
        (("x.bin", "--envelope", "x.json", "--key", "1.key"), 2, "holds neither an envelope"),
        (
            ("x.bin", "--envelope", "x.torn", "--key", "1.key"),
            2,
            "x.torn: the metadata is not JSON",
        ),
        (("x.none", "--envelope", "x.pem", "--key", "1.key"), 1, "x.none: the file is empty"),
        (("x.bin", "--key", "1.key", "--media", "m"), 2, "--media chooses a file of the metadata"),
        (
            ("x.bin", "--envelope", "x.pem", "--key", "1.key", "--certificate", "1.key"),
            2,
            "not a certificate",
        ),
    ],
)
def test_what_does_not_open_is_one_sentence(
    folder: Path, run: Run, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """Wrong keys, cut files, wrong papers: one sentence, and nothing is left behind."""
    stored, archived = (folder / "x.bin").read_bytes(), (folder / "a.bin").read_bytes()
    other = encrypted(SOUND, pair(1), pair(2))
    answer = json.loads((folder / "recording.json").read_bytes())
    answer["recording"]["mediaFiles"][0]["lab"]["mac"] = "0" * 64
    files = {
        "x.cut": stored[:99_999],
        "x.less": stored[:-16],
        "x.more": stored + bytes(16),
        "x.none": b"",
        "x.other": other.stored,
        "x.flip": bytes([*stored[:50_000], stored[50_000] ^ 1, *stored[50_001:]]),
        "a.cut": archived[:-1],
        "a.more": archived + b"\0",
        "x.mac": json.dumps(answer).encode(),
        "x.enc": key_pem(recorder(1).key, password="geheim"),
        "x.pw": b"falsch\n",
        "x.plain": plain(SOUND).answer,
        "x.json": b"{}",
        "x.torn": b'{"mediaFiles":',
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    got, said = run(*arguments, "--out", "out")
    assert got == code
    assert sentence in said
    assert said.rstrip("\n").count("\n") == 0
    assert "geheim" not in said
    assert left(folder) == set()


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        (".", "is a folder"),
        ("-", "counts only when all of it is"),
        ("no/such/out", "its folder does not exist"),
        ("x.bin", "it is the input"),
        ("x.link", "it is the input"),
        ("/dev/null", "no ordinary file"),
    ],
)
def test_where_nothing_can_be_written(folder: Path, run: Run, out: str, sentence: str) -> None:
    """A folder, a device, the input itself: refused before anything is decrypted."""
    before = (folder / "x.bin").read_bytes()
    (folder / "x.link").symlink_to("x.bin")
    code, said = run("x.bin", "--envelope", "x.pem", "--key", "1.key", "--out", out)
    assert code == 2
    assert sentence in said
    assert (folder / "x.bin").read_bytes() == before


def test_an_older_file_stays_until_the_new_one_is_whole(folder: Path, run: Run) -> None:
    """A file of that name is replaced by a whole plaintext only."""
    (folder / "out").write_bytes(b"older")
    stored = (folder / "x.bin").read_bytes()
    (folder / "x.cut").write_bytes(stored[:-16])
    papers = ("--envelope", "x.pem", "--key", "1.key", "--out", "out")
    assert run("x.cut", *papers)[0] == 1
    assert (folder / "out").read_bytes() == b"older"
    assert run("x.bin", *papers)[0] == 0
    assert (folder / "out").read_bytes() == SOUND


def test_a_killed_process_leaves_nothing(folder: Path) -> None:
    """SIGKILL in the middle of a file leaves no plaintext under any name."""
    write(folder, encrypted(wav(4 << 20), pair(1)))
    command = [sys.executable, "-m", "reclab", "decrypt", "/dev/stdin", "--envelope", "x.pem"]
    command += ["--key", "1.key", "--out", "out"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write((folder / "x.bin").read_bytes()[: 3 << 20])
        process.stdin.flush()  # it has read all but what the pipe holds
        process.kill()
    assert left(folder) == set()


def test_exit_codes_of_the_program(folder: Path) -> None:
    """The program itself ends with 1 and 2, and says a sentence, never a trace."""
    for arguments, code in (
        (("x.bin", "--envelope", "recording.json", "--key", "3.key"), 1),
        (("x.no", "--envelope", "recording.json", "--key", "1.key"), 2),
    ):
        command = [sys.executable, "-m", "reclab", "decrypt", *arguments, "--out", "out"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, text=True)
        assert done.returncode == code, done.stderr
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
