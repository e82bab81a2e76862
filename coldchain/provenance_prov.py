"""Provenance as W3C PROV: entities, activities and agents, written as PROV-JSON.

Standards: PROV-DM, https://www.w3.org/TR/prov-dm/; PROV-JSON, https://www.w3.org/submissions/prov-json/.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coldchain.lineage import Link, gpus, nodes, plain_name, told

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.provenance import Activity

PREFIXES = {
    "coldchain": "urn:coldchain:ns:",
    "artifact": "urn:coldchain:artifact:",
    "activity": "urn:coldchain:activity:",
    "agent": "urn:coldchain:agent:",
}


def to_prov(links: Sequence[Link]) -> bytes:
    """PROV-JSON of a chain, the artifact itself first; the same chain gives the same bytes."""
    inputs = {name for _, activity in links for name in activity.inputs}
    known = {artifact.id for artifact, _ in links}
    document = {
        "prefix": PREFIXES,
        "entity": {entity(artifact.id): _entity(artifact) for artifact, _ in links}
        | {entity(name): {"prov:label": name} for name in sorted(inputs - known)},
        "activity": {_did(activity): _activity(activity) for _, activity in links},
        "agent": {name: about for _, activity in links for name, (about, _) in agents(activity).items()},
        "used": _numbered("u", (_used(activity, name) for _, activity in links for name in activity.inputs)),
        "wasGeneratedBy": _numbered("g", (_generated(artifact, activity) for artifact, activity in links)),
        "wasAssociatedWith": _numbered("a", (each for _, activity in links for each in _associated(activity))),
        "wasDerivedFrom": _numbered("d", (_derived(artifact, activity, name) for artifact, activity in links for name in activity.inputs)),
        "actedOnBehalfOf": _numbered("b", (_for(activity) for _, activity in links)),
    }
    return json.dumps({key: value for key, value in document.items() if value}, indent=2, sort_keys=True).encode() + b"\n"


def entity(artifact: str) -> str:
    """Name of an artifact in PROV: its level and whole digest, by its id."""
    level, _, digest = artifact.rpartition("/")[2].partition("@")
    return f"artifact:{plain_name(level)}-{plain_name(digest)}"


def _entity(artifact: Artifact) -> dict[str, Any]:
    return {
        "prov:label": artifact.label,
        "coldchain:dataset": artifact.dataset,
        "coldchain:level": str(artifact.level),
        "coldchain:sha256": artifact.digest,
        "coldchain:files": _integer(artifact.files),
        "coldchain:bytes": _integer(artifact.bytes),
    }


def _activity(activity: Activity) -> dict[str, Any]:
    said = {
        "prov:label": activity.name,
        "prov:startTime": activity.started_at.isoformat(),
        "prov:endTime": activity.ended_at.isoformat(),
        "coldchain:fingerprint": activity.fingerprint,
        "coldchain:parameters": _json(activity.parameters),
        "coldchain:hardware": _json(activity.hardware),
        "coldchain:node": ", ".join(nodes(activity)),
        "coldchain:gpu": ", ".join(gpus(activity)),
        "coldchain:job": activity.job,
    }
    return {name: value for name, value in said.items() if value}


def agents(activity: Activity) -> dict[str, tuple[dict[str, Any], str]]:
    """Who and what an activity is associated with: a name, what is said of it, and its role."""
    found = {
        f"agent:person-{plain_name(activity.who)}": ({"prov:type": _type("Person"), "prov:label": activity.who}, "who asked"),
        _software(activity): (_about_software(activity), "software"),
    }
    if activity.model:
        digest = str(activity.model.get("digest", ""))
        name = str(activity.model.get("name", "model"))
        about = {"prov:type": _type("SoftwareAgent"), "prov:label": f"model {name}", "coldchain:sha256": digest, "coldchain:model": name}
        found[f"agent:model-{plain_name(name)}-{digest[:12]}"] = ({key: value for key, value in about.items() if value}, "model")
    return found


def _software(activity: Activity) -> str:
    return f"agent:coldchain-{plain_name(activity.code_version)}-{activity.lock_digest[:12]}"


def _about_software(activity: Activity) -> dict[str, Any]:
    return {
        "prov:type": _type("SoftwareAgent"),
        "prov:label": f"coldchain {activity.code_version}",
        "coldchain:version": activity.code_version,
        "coldchain:lock_sha256": activity.lock_digest,
    }


def _did(activity: Activity) -> str:
    return f"activity:{plain_name(activity.id)}"


def _used(activity: Activity, name: str) -> dict[str, Any]:
    return {"prov:activity": _did(activity), "prov:entity": entity(name)}


def _generated(artifact: Artifact, activity: Activity) -> dict[str, Any]:
    return {"prov:entity": entity(artifact.id), "prov:activity": _did(activity), "prov:time": activity.ended_at.isoformat()}


def _derived(artifact: Artifact, activity: Activity, name: str) -> dict[str, Any]:
    derived = {"prov:generatedEntity": entity(artifact.id), "prov:usedEntity": entity(name)}
    return derived | {"prov:activity": _did(activity)}


def _associated(activity: Activity) -> Iterable[dict[str, Any]]:
    for name, (_, role) in agents(activity).items():
        yield {"prov:activity": _did(activity), "prov:agent": name, "prov:role": role}


def _for(activity: Activity) -> dict[str, Any]:
    person = f"agent:person-{plain_name(activity.who)}"
    return {"prov:delegate": _software(activity), "prov:responsible": person, "prov:activity": _did(activity)}


def _numbered(letter: str, records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"_:{letter}{number}": dict(record) for number, record in enumerate(records, 1)}


def _type(name: str) -> dict[str, str]:
    return {"$": f"prov:{name}", "type": "prov:QUALIFIED_NAME"}


def _integer(value: int) -> dict[str, str]:
    return {"$": str(value), "type": "xsd:long"}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(told(value), sort_keys=True) if value else ""
