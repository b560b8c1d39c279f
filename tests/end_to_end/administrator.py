"""An administrator beside a lab: a folder to work in, command lines typed as they stand, requests.

Nothing of the product checks itself here: keys and certificates come from the `openssl` program,
short calls from the bare phone, and everything else goes through the lab's own doors.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.end_to_end.lab_under_test import LabUnderTest, wait_until
from tests.end_to_end.phone import Phone, sdp, speak

JsonDict = dict[str, Any]
_UUID_LETTERS = string.digits + string.ascii_uppercase
_PROGRAMS = Path(sys.executable).parent


class Desk:
    """A folder in which command lines are run by the shell, `reclab` among them."""

    def __init__(self, folder: Path, lab: LabUnderTest | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._environment = {**os.environ, "PATH": f"{_PROGRAMS}:{os.environ['PATH']}"}
        if lab is not None:
            self._environment["RECLAB_DATA"] = str(lab.folder)

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def types(self, line: str, answers: str = "") -> str:
        """Run a command line that has to succeed; return all that it said."""
        code, said = self._run(line, answers)
        assert code == 0, f"{line}\n{said[-3000:]}"
        return said

    def is_refused(self, line: str, code: int = 1) -> str:
        """Run a command line that has to end with `code`, in one sentence; return the sentence."""
        ended, said = self._run(line, "")
        assert ended == code, f"{line}\n{ended}\n{said[-3000:]}"
        assert "Traceback" not in said
        return said

    def text(self, name: str) -> str:
        """A file of the folder."""
        return (self.folder / name).read_text()

    def _run(self, line: str, answers: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            input=answers,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=self._environment,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout


class Administrator:
    """What a person of role admin asks of a running lab, as JSON; and calls to try it out."""

    def __init__(self, lab: LabUnderTest) -> None:
        self.lab = lab
        self.crypto, self.processor = lab.lab["crypto"], lab.lab["processor"]

    def ask(self, method: str, url: str, said: object = None, *, role: str = "admin") -> JsonDict:
        """Send a request that has to succeed; return the answer."""
        status, answer = self.answer(method, url, said, role=role)
        assert status in (200, 201), answer
        return answer

    def answer(
        self, method: str, url: str, said: object = None, *, role: str = "admin"
    ) -> tuple[int, JsonDict]:
        """Send a request; return the status and the answer."""
        body = None if said is None else json.dumps(said).encode()
        status, answer = self.lab.request(method, url, role, body)
        return status, json.loads(answer)

    def upload(self, certificate: str, key: str, **further: object) -> JsonDict:
        """Upload a certificate with its key for the lab's tenant; return what is shown of it."""
        said = {"tenant": "Environment", "certificate": certificate, "key": key, **further}
        shown: JsonDict = self.ask("POST", f"{self.crypto}/lab/certificates", said)["certificate"]
        return shown

    def deploy(self, certificate_id: str, dbid: int) -> JsonDict:
        """Deploy a certificate to a profile; return when the platform has the new profile."""
        url = f"{self.crypto}/lab/certificates/{certificate_id}/deployments"
        answer = self.ask("POST", url, {"profile": dbid})
        self.wait_for_profiles(answer["version"])
        return answer

    def undeploy(self, certificate_id: str, dbid: int) -> JsonDict:
        """Take a certificate from a profile; return when the platform has the new profile."""
        url = f"{self.crypto}/lab/certificates/{certificate_id}/deployments/{dbid}"
        answer = self.ask("DELETE", url)
        self.wait_for_profiles(answer["version"])
        return answer

    def profile(
        self,
        dbid: int,
        certificates: list[str],
        ca_file: Path | None = None,
        name: str | None = None,
    ) -> None:
        """Make or change a profile that records as the lab's own does, for these certificates."""
        listed = self.ask("GET", f"{self.processor}/lab/profiles")["profiles"]
        [own] = [p for p in listed if p["dbid"] == self.lab.lab["profile_dbid"]]
        options = own["sections"]["gvp.service-parameters"]
        if ca_file is not None:
            options["recordingclient.gvp.config.mpc.mediamgr.CA_file"] = f"fixed,{ca_file}"
        own["sections"]["recording-certificates"] = {
            f"certificates-{n}": pem for n, pem in enumerate(certificates, 1)
        }
        changed = {**own, "dbid": dbid, "name": name or f"recording-{dbid}"}
        answer = self.ask("PUT", f"{self.processor}/lab/profiles/{dbid}", changed)
        self.wait_for_profiles(answer["version"])

    def wait_for_profiles(self, version: int) -> None:
        """Return when the platform says that it has this version, which takes under a second."""
        log = self.lab.folder / "log" / "mcp.log"

        def loaded() -> bool:
            found = re.findall(r"Profiles were loaded .*version=(\d+)", log.read_text())
            return any(int(each) >= version for each in found)

        wait_until(loaded, f"the profiles' version {version}", seconds=10)

    def call(self, dbid: int, *, seconds: float = 0.4) -> JsonDict:
        """Place a short call by a profile; return its recording."""
        call = RunningCall(self.lab, dbid)
        speak([(call.port, 440.0, 0.0)], seconds)
        return call.end()

    def refusal(self, dbid: int) -> str:
        """Place a call that the platform has to refuse by 403; return the whole answer."""
        status, answer = Phone(self.lab.sip).refused(sdp(""), _by_profile(dbid))
        assert status == 403, answer
        return answer

    def play(self, recording: JsonDict) -> bytes:
        """The sound of a recording's only media file, from the crypto server."""
        status, sound = self.played(recording)
        assert status == 200, sound
        return sound

    def played(self, recording: JsonDict) -> tuple[int, bytes]:
        """Ask the crypto server for the sound; return status and body."""
        [media] = recording["mediaFiles"]
        return self.lab.get(f"{self.crypto}/rcs{media['mediaPath']}", "listener")


class RunningCall:
    """A call that is being recorded until `end`."""

    def __init__(self, lab: LabUnderTest, dbid: int) -> None:
        self._lab = lab
        self.uuid = "".join(secrets.choice(_UUID_LETTERS) for _ in range(32))
        self._phone = Phone(lab.sip)
        headers = (_by_profile(dbid), f"X-Genesys-CallUUID: {self.uuid}")
        status, answer = self._phone.invite(sdp(""), *headers)
        assert status == 200, answer
        self.port = self._phone.ports[0]

    def end(self) -> JsonDict:
        """Hang up; return the recording."""
        self._phone.bye()
        url = f"{self._lab.lab['processor']}/api/v2/recordings/{self.uuid}"
        wait_until(lambda: self._lab.get(url, "operator")[0] == 200, f"recording {self.uuid}")
        recording: JsonDict = json.loads(self._lab.get(url, "operator")[1])["recording"]
        return recording


def _by_profile(dbid: int) -> str:
    return f"X-Genesys-RM-Application-dbid: {dbid}"
