"""The IVR profile: its options by name, and which profile a call gets."""

from __future__ import annotations

import msgspec
import pytest

from recording_format.ivr_profile import IvrProfile, Tenant, choose_profile

TENANT = Tenant("Environment", 1)


def profile(
    dbid: int = 101,
    name: str = "recording",
    *,
    service_type: str | None = "record",
    geo_location: str | None = None,
    certificates: dict[str, str] | None = None,
    **parameters: str,
) -> IvrProfile:
    """Return a profile; `parameters` are service parameters, ``__`` stands for a dot."""
    general = {"service-type": service_type, "geo-location": geo_location}
    return IvrProfile(
        dbid=dbid,
        name=name,
        tenant=TENANT,
        sections={
            "gvp.general": {k: v for k, v in general.items() if v is not None},
            "gvp.service-parameters": {k.replace("__", "."): v for k, v in parameters.items()},
            "recording-certificates": certificates or {},
        },
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("fixed,http://store/recordings", "http://store/recordings"),
        ("fixed, audio/mp3 ", "audio/mp3"),
        ("audio/mp3", "audio/mp3"),
        ("fixed,", ""),
        ("", ""),
        ("fixed,fixed,x", "fixed,x"),
    ],
)
def test_the_fixed_prefix_is_taken_off_once(text: str, value: str) -> None:
    """A service parameter's value stands behind `fixed,`; without the prefix it is taken as is."""
    assert profile(recordingclient__type=text).fixed("recordingclient.type") == value


def test_what_is_not_there_is_none() -> None:
    """A missing option, section or credential is None; a missing list is empty."""
    empty = IvrProfile(dbid=1, name="empty", tenant=TENANT)
    assert empty.option("gvp.general", "service-type") is None
    assert empty.fixed("recordingclient.recdest") is None
    assert empty.override("mpc", "mediamgr.CA_file") is None
    assert empty.geo_location is None
    assert empty.storage_credentials is None
    assert empty.processor_credentials is None
    assert (empty.certificates, empty.processor_parameters) == ([], {})
    assert not empty.records
    assert not empty.flag("lab.unencrypted")


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("fixed,true", True), ("fixed,TRUE", True), ("true", True), ("fixed,yes", True),
        ("fixed,1", True), ("fixed,false", False), ("fixed,", False), ("fixed,truely", False),
        ("fixed,on", False), ("fixed,0", False),
    ],
)  # fmt: skip
def test_only_a_clear_yes_switches_encryption_off(text: str, on: bool) -> None:
    """What is not one of a few words is no: nothing is recorded in plain by a slip."""
    assert profile(lab__unencrypted=text).flag("lab.unencrypted") is on


def test_an_option_of_the_media_platform_is_overridden() -> None:
    """`recordingclient.gvp.config.<section>.<option>` is the override of that option."""
    chosen = profile(recordingclient__gvp__config__mpc__mediamgr__CA_file="fixed,/etc/ca.pem")
    assert chosen.override("mpc", "mediamgr.CA_file") == "/etc/ca.pem"
    assert chosen.override("mpc", "mediamgr.ca_file") is None
    assert chosen.override("sip", "mediamgr.CA_file") is None


def test_certificates_come_by_their_number() -> None:
    """`certificates-10` comes behind `certificates-2`; what is not numbered is no certificate."""
    texts = {f"certificates-{n}": str(n) for n in (10, 2, 1)}
    others = {
        "certificates": "x",
        "certificates-": "x",
        "certificates-1a": "x",
        "Certificates-3": "x",
    }
    found = profile(certificates=texts | others).certificates
    assert found == [("certificates-1", "1"), ("certificates-2", "2"), ("certificates-10", "10")]


def test_an_empty_certificate_is_one_that_cannot_be_used() -> None:
    """An option whose text was lost still counts: it must not turn encryption off."""
    assert profile(certificates={"certificates-1": ""}).certificates == [("certificates-1", "")]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("fixed,mcp:secret", ("mcp", "secret")),
        ("fixed,mcp:se:cr:et", ("mcp", "se:cr:et")),
        ("fixed,mcp:", ("mcp", "")),
        ("mcp:é", ("mcp", "é")),
        ("fixed,", None),
    ],
)
def test_credentials_are_a_name_and_a_password(text: str, pair: tuple[str, str] | None) -> None:
    """The name ends at the first colon; the password may have colons of its own."""
    chosen = profile(
        recordingclient__httpauthorization=text, recordingclient__callrec_authorization=text
    )
    assert chosen.storage_credentials == pair
    assert chosen.processor_credentials == pair


def test_the_second_storage_has_credentials_of_its_own_or_those_of_the_first() -> None:
    """`recdest2` is signed in to like `recdest`, unless `httpauthorization2` says how."""
    chosen = profile(
        recordingclient__recdest2="fixed,http://second/recordings",
        recordingclient__httpauthorization="fixed,mcp:one",
    )
    assert chosen.second_storage == "http://second/recordings"
    assert chosen.second_storage_credentials == ("mcp", "one")
    other = profile(
        recordingclient__httpauthorization="fixed,mcp:one",
        recordingclient__httpauthorization2="fixed,copy:two",
    )
    assert other.second_storage is None
    assert other.storage_credentials == ("mcp", "one")
    assert other.second_storage_credentials == ("copy", "two")


def test_what_is_for_the_processor() -> None:
    """`recordingclient.rp.…` are the parameters that the processor gets as `rp.…`."""
    chosen = profile(
        recordingclient__rp__speechminer_uri="fixed,http://speech/",
        recordingclient__rp__speechminer_auth="fixed,user:secret",
        recordingclient__rp__empty="fixed,",
        recordingclient__recdest="fixed,http://store/",
    )
    assert chosen.processor_parameters == {
        "rp.speechminer_uri": "http://speech/",
        "rp.speechminer_auth": "user:secret",
    }


def test_no_option_shows_itself() -> None:
    """The options hold passwords: repr names the profile only."""
    chosen = profile(recordingclient__httpauthorization="fixed,mcp:hunter2")
    for text in (repr(chosen), str(chosen), f"{[chosen]}"):
        assert "hunter2" not in text
        assert "'recording'" in text


def test_a_profile_travels_as_json() -> None:
    """What was encoded is read again as it was; an unknown key is an error."""
    chosen = profile(recordingclient__type="fixed,audio/wav")
    assert msgspec.json.decode(msgspec.json.encode(chosen), type=IvrProfile) == chosen
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"dbid": 1, "name": "x", "tenant": TENANT, "more": 1}, IvrProfile)


OTHER = profile(7, "ivr", service_type="voice", geo_location="here")
NEAR, FAR = profile(103, "near", geo_location="here"), profile(104, "far", geo_location="there")
NAMED, FIRST = profile(105, "record"), profile(102, "first")


@pytest.mark.parametrize(
    ("known", "dbid", "location", "chosen"),
    [
        ([NEAR, FAR, OTHER], 104, "here", FAR),
        ([NEAR, FAR, OTHER], 7, None, OTHER),
        ([NEAR, FAR], 999, "here", None),
        ([FAR, NEAR, NAMED], None, "here", NEAR),
        ([OTHER, NEAR], None, "there", NEAR),
        ([OTHER, FAR, NEAR], None, "nowhere", NEAR),
        ([FIRST], None, None, FIRST),
        ([FIRST], None, "here", FIRST),
        ([FIRST, NAMED], None, None, NAMED),
        ([NEAR, FIRST], None, None, FIRST),
        ([OTHER], None, "here", None),
        ([], None, None, None),
        ([], 101, None, None),
    ],
    ids=[
        "the DBID decides", "the DBID of any service", "an unknown DBID is none", "the location",
        "the only one, wherever", "an unknown location: the lowest DBID", "the only one",
        "the only one of no location", "the one named record", "the lowest DBID",
        "one of another service is none", "there are none", "none with that DBID",
    ],
)  # fmt: skip
def test_the_profile_of_a_call(
    known: list[IvrProfile], dbid: int | None, location: str | None, chosen: IvrProfile | None
) -> None:
    """The given DBID; else the location; else the only one, `record`, the lowest DBID."""
    assert choose_profile(known, dbid=dbid, geo_location=location) is chosen
    assert choose_profile(reversed(known), dbid=dbid, geo_location=location) is chosen


def test_a_tenants_calls_are_the_tenants() -> None:
    """A call that names its tenant is not caught by another one's profile, whatever its name."""
    south = msgspec.structs.replace(FIRST, dbid=201, tenant=Tenant("South", 2))
    thief = msgspec.structs.replace(NEAR, dbid=1, name="record")

    def chosen(tenant_dbid: int | None, dbid: int | None = None) -> IvrProfile | None:
        return choose_profile(
            [thief, NAMED, south], dbid=dbid, geo_location="here", tenant_dbid=tenant_dbid
        )

    assert chosen(2) is south
    assert chosen(2, dbid=105) is NAMED  # the DBID decides alone
    assert chosen(TENANT.dbid) is thief
    assert chosen(77) is chosen(None) is thief  # nobody's calls, or nobody said
