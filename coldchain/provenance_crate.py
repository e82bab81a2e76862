"""Provenance as an RO-Crate: each activity is a CreateAction of the Process Run Crate profile.

Standards: RO-Crate 1.1, https://w3id.org/ro/crate/1.1; Process Run Crate 0.5, https://w3id.org/ro/wfrun/process/0.5. The file stands
beside the folder of its artifact, which is never changed; the crate's root is the folder that holds both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coldchain.lineage import Link, gpus, nodes, plain_name, told

if TYPE_CHECKING:
    from coldchain.copies import Artifact
    from coldchain.provenance import Activity

CRATE = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
CONTEXT = [f"{CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context"]
METADATA = "ro-crate-metadata.json"
"""Name that an RO-Crate's description has."""

Entity = dict[str, Any]


def to_crate(links: Sequence[Link]) -> bytes:
    """RO-Crate metadata of a chain, the artifact itself first; the same chain gives the same bytes."""
    main = links[0][0]
    known = {artifact.id: identifier(artifact, main) for artifact, _ in links}
    found: dict[str, Entity] = {}
    for each in (*_head(main, links), *(entity for link in links for entity in _described(link, known))):
        found.setdefault(each["@id"], each)
    return json.dumps({"@context": CONTEXT, "@graph": list(found.values())}, indent=2, sort_keys=True).encode() + b"\n"


def identifier(artifact: Artifact, main: Artifact) -> str:
    """Name of an artifact in the crate: its folder where it is what the crate is about, else its level and digest."""
    return f"{artifact.digest[:12]}/" if artifact.id == main.id else f"#{artifact.level}-{artifact.digest}"


def _head(main: Artifact, links: Sequence[Link]) -> Iterable[Entity]:
    yield {"@id": METADATA, "@type": "CreativeWork", "conformsTo": _to(CRATE), "about": _to("./")}
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": main.label,
        "description": f"{main.level} of {main.dataset}, and how it was made, up to the instrument's own files.",
        "datePublished": main.made_at.date().isoformat(),
        "license": "As the project's agreement says; none is granted by this file.",
        "conformsTo": _to(PROFILE),
        "hasPart": [_to(identifier(main, main))],
        "mentions": [_to(_done(activity)) for _, activity in links],
    }
    yield {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}


def _described(link: Link, known: Mapping[str, str]) -> Iterable[Entity]:
    artifact, activity = link
    yield _artifact(artifact, known[artifact.id])
    for name in activity.inputs:
        if name not in known:
            yield {"@id": _unknown(name), "@type": "Dataset", "name": name, "identifier": name}
    parts = [*_parameters(activity), *_model(activity)]
    surroundings = list(_environment(activity))
    yield _action(artifact, activity, known, parts, surroundings)
    yield from (_software(activity), *_lock(activity), _person(activity), *parts, *surroundings)


def _artifact(artifact: Artifact, name: str) -> Entity:
    return {
        "@id": name,
        "@type": "Dataset",
        "name": artifact.label,
        "identifier": artifact.id,
        "sha256": artifact.digest,
        "description": f"{artifact.level}: {artifact.files} files, named by the SHA-256 of its MANIFEST.sha256",
        "contentSize": str(artifact.bytes),
        "dateCreated": artifact.made_at.isoformat(),
    }


def _action(artifact: Artifact, activity: Activity, known: Mapping[str, str], parts: list[Entity], surroundings: list[Entity]) -> Entity:
    return {
        "@id": _done(activity),
        "@type": "CreateAction",
        "name": f"{activity.name} of {artifact.dataset}",
        "identifier": activity.fingerprint,
        "startTime": activity.started_at.isoformat(),
        "endTime": activity.ended_at.isoformat(),
        "actionStatus": _to("http://schema.org/CompletedActionStatus"),
        "agent": _to(_person_id(activity)),
        "instrument": _to(_software_id(activity)),
        "object": [*(_to(known.get(name, _unknown(name))) for name in activity.inputs), *(_to(part["@id"]) for part in parts)],
        "result": [_to(known[artifact.id])],
        "environment": [_to(each["@id"]) for each in surroundings],
    }


def _software(activity: Activity) -> Entity:
    return {
        "@id": _software_id(activity),
        "@type": "SoftwareApplication",
        "name": "coldchain",
        "softwareVersion": activity.code_version,
        "softwareRequirements": [_to(each["@id"]) for each in _lock(activity)],
    }


def _lock(activity: Activity) -> list[Entity]:
    about = {"@type": "CreativeWork", "name": "names and versions of all installed packages, as a digest", "sha256": activity.lock_digest}
    return [{"@id": f"#lock-{activity.lock_digest}", **about}] if activity.lock_digest else []


def _person(activity: Activity) -> Entity:
    return {"@id": _person_id(activity), "@type": "Person", "name": activity.who}


def _parameters(activity: Activity) -> list[Entity]:
    return [_value(f"{_done(activity)}-{plain_name(name)}", name, value) for name, value in told(activity.parameters).items()]


def _model(activity: Activity) -> list[Entity]:
    """The model as something that was used, where there was one."""
    if not activity.model:
        return []
    about = told(activity.model)
    digest = str(about.get("digest", ""))
    said = {"@type": "CreativeWork", "name": f"model {about.get('name', '')}".strip(), "sha256": digest, "identifier": digest}
    return [{"@id": f"#model-{plain_name(digest or activity.id)}", **said, "description": json.dumps(about, sort_keys=True)}]


def _environment(activity: Activity) -> Iterable[Entity]:
    said = {
        "nodes": ", ".join(nodes(activity)),
        "gpus": ", ".join(gpus(activity)),
        "slurm_jobs": activity.job,
        "hardware": json.dumps(told(activity.hardware), sort_keys=True) if activity.hardware else "",
    }
    yield from (_value(f"{_done(activity)}-environment-{name}", name, value) for name, value in said.items() if value)


def _value(name: str, what: str, value: Any) -> Entity:
    plain = value if isinstance(value, str | int | float | bool) else json.dumps(value, sort_keys=True)
    return {"@id": name, "@type": "PropertyValue", "name": what, "value": plain}


def _to(name: str) -> dict[str, str]:
    return {"@id": name}


def _done(activity: Activity) -> str:
    return f"#{plain_name(activity.id)}"


def _software_id(activity: Activity) -> str:
    return f"#coldchain-{plain_name(activity.code_version)}-{activity.lock_digest[:12]}"


def _person_id(activity: Activity) -> str:
    return f"#person-{plain_name(activity.who)}"


def _unknown(name: str) -> str:
    level, _, digest = name.rpartition("/")[2].partition("@")
    return f"#{plain_name(level)}-{plain_name(digest)}"
