"""Provenance as W3C PROV and as RO-Crate: the field's own libraries read the same graph out of them that was written."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prov.model import ProvActivity, ProvAgent, ProvAssociation, ProvDerivation, ProvDocument, ProvEntity, ProvGeneration, ProvUsage
from rocrate.rocrate import ROCrate

from coldchain.copies import Artifact
from coldchain.levels import Level
from coldchain.lineage import Link, gpus, lineage, nodes, told
from coldchain.provenance import Activity
from coldchain.provenance_crate import METADATA, PROFILE, to_crate
from coldchain.provenance_prov import to_prov
from coldchain.workspace import Workspace

THEN = dt.datetime(2030, 1, 15, 12, tzinfo=dt.UTC)
LATER = dt.datetime(2030, 1, 15, 13, tzinfo=dt.UTC)
DATASET = "PRJ-0001/PLATE-A"
SLURM = {
    "kind": "slurm",
    "workers": [{"node": "gpu-1", "gpus": ["NVIDIA A100"]}, {"node": "gpu-2", "gpus": ["NVIDIA A100"]}],
    "slurm_job_ids": ["7", "8"],
}


def artifact(level: Level, letter: str) -> Artifact:
    """An artifact of a level."""
    return Artifact(DATASET, level, letter * 64, 3, 4096, f"made-{level}", LATER)


def activity(made: Artifact, name: str, *inputs: Artifact, **more: Any) -> Activity:
    """How it was made."""
    ids = tuple(each.id for each in inputs)
    parameters = more.pop("parameters", {})
    return Activity(made.activity, name, "f" * 64, ids, parameters, "0.1.0", "e" * 64, "ada@lab", THEN, LATER, **more)


RAW, STANDARD, MASKS = artifact(Level.RAW, "a"), artifact(Level.STANDARD, "b"), artifact(Level.MASKS, "c")
CHAIN: list[Link] = [
    (
        MASKS,
        activity(
            MASKS,
            "segment",
            STANDARD,
            parameters={"channel": "DNA | blue\n", "weights": "9" * 64, "model_folder": "/home/ada/models/unet", "api_token": "hush"},
            model={"name": "nuclei-small", "digest": "9" * 64},
            hardware=SLURM,
            job="7,8",
        ),
    ),
    (STANDARD, activity(STANDARD, "standardise", RAW, parameters={"channels": {"1": "DNA"}}, hardware={"host": "nas-1", "cpus": 2})),
    (RAW, activity(RAW, "ingest", hardware={"host": "nas-1"})),
]


def read_prov(chain: list[Link]) -> ProvDocument:
    """What the prov library reads."""
    return ProvDocument.deserialize(content=to_prov(chain).decode(), format="json")


def edges(document: ProvDocument, kind: type[Any], start: str, end: str) -> set[tuple[str, str]]:
    """The ends of every edge of a kind."""
    said = [{name.localpart: getattr(value, "localpart", "") for name, value in each.attributes} for each in document.get_records(kind)]
    return {(each[start], each[end]) for each in said}


def test_prov_says_what_was_made_of_what_by_whom_and_with_what() -> None:
    """The prov library finds each artifact, activity and agent, and the edges between them, as the catalogue has them."""
    document = read_prov(CHAIN)
    assert {entity.identifier.localpart for entity in document.get_records(ProvEntity)} == {
        f"{each.level}-{each.digest}" for each, _ in CHAIN
    }
    used = edges(document, ProvUsage, "activity", "entity")
    assert used == {(done.id, name.rpartition("/")[2].replace("@", "-")) for _, done in CHAIN for name in done.inputs}
    made = edges(document, ProvGeneration, "entity", "activity")
    assert made == {(f"{each.level}-{each.digest}", done.id) for each, done in CHAIN}
    derived = edges(document, ProvDerivation, "generatedEntity", "usedEntity")
    assert derived == {(f"masks-{'c' * 64}", f"standard-{'b' * 64}"), (f"standard-{'b' * 64}", f"raw-{'a' * 64}")}
    agents = {str(agent.label) for agent in document.get_records(ProvAgent)}
    assert agents == {"ada@lab", "coldchain 0.1.0", "model nuclei-small"}
    assert len(list(document.get_records(ProvAssociation))) == 3 * 2 + 1


def test_prov_keeps_times_parameters_lock_gpu_node_and_job() -> None:
    """What an activity ran with can be read from its attributes."""
    document = read_prov(CHAIN)
    done = next(each for each in document.get_records(ProvActivity) if each.label == "segment")
    assert (done.get_startTime(), done.get_endTime()) == (THEN, LATER)
    said = {str(name): str(value) for name, value in done.extra_attributes}
    assert json.loads(said["coldchain:parameters"])["channel"] == "DNA | blue\n"
    assert (said["coldchain:gpu"], said["coldchain:node"], said["coldchain:job"]) == ("NVIDIA A100", "gpu-1, gpu-2", "7,8")
    software = next(agent for agent in document.get_records(ProvAgent) if agent.label == "coldchain 0.1.0")
    assert ("coldchain:lock_sha256", "e" * 64) in {(str(name), value) for name, value in software.extra_attributes}


def read_crate(chain: list[Link], folder: Path) -> ROCrate:
    """What the rocrate library reads, with the artifact's folder beside the description."""
    (folder / chain[0][0].digest[:12]).mkdir()
    (folder / METADATA).write_bytes(to_crate(chain))
    return ROCrate(folder)


def test_the_crate_is_a_process_run_with_an_action_for_each_activity(tmp_path: Path) -> None:
    """The rocrate library finds each activity as a CreateAction with its software, person, objects, result and times."""
    crate = read_crate(CHAIN, tmp_path)
    assert crate.root_dataset["conformsTo"].id == PROFILE
    assert crate.root_dataset.id == "./"
    actions = {action["name"].partition(" ")[0]: action for action in crate.root_dataset["mentions"]}
    assert set(actions) == {done.name for _, done in CHAIN}
    segment = actions["segment"]
    assert segment.type == "CreateAction"
    assert segment["instrument"].type == "SoftwareApplication"
    assert (segment["instrument"]["name"], segment["instrument"]["softwareVersion"]) == ("coldchain", "0.1.0")
    assert segment["instrument"]["softwareRequirements"][0]["sha256"] == "e" * 64
    assert segment["agent"]["name"] == "ada@lab"
    assert [each["sha256"] for each in segment["result"]] == [MASKS.digest]
    assert (segment["startTime"], segment["endTime"]) == (THEN.isoformat(), LATER.isoformat())
    objects = {each["name"]: each for each in segment["object"]}
    assert objects[STANDARD.label]["sha256"] == STANDARD.digest
    assert objects["model nuclei-small"]["sha256"] == "9" * 64
    assert objects["weights"]["value"] == "9" * 64
    around = {each["name"]: each["value"] for each in segment["environment"]}
    assert (around["gpus"], around["nodes"], around["slurm_jobs"]) == ("NVIDIA A100", "gpu-1, gpu-2", "7,8")


def test_both_say_the_same_graph(tmp_path: Path) -> None:
    """What was made of what is the same in PROV and in the crate."""
    document, crate = read_prov(CHAIN), read_crate(CHAIN, tmp_path)
    derived = edges(document, ProvDerivation, "generatedEntity", "usedEntity")
    found = set()
    for action in crate.root_dataset["mentions"]:
        for made in action["result"]:
            found |= {(_named(made), _named(each)) for each in action.get("object", []) if "Dataset" in each.type}
    assert found == derived


def _named(entity: Any) -> str:
    level, _, digest = entity["identifier"].rpartition("/")[2].partition("@")
    return f"{level}-{digest}"


def test_the_same_chain_gives_the_same_bytes() -> None:
    """Nothing in them is of the moment at which they are written."""
    assert to_prov(CHAIN) == to_prov(list(CHAIN))
    assert to_crate(CHAIN) == to_crate(list(CHAIN))


@pytest.mark.parametrize("write", [to_prov, to_crate])
def test_neither_secrets_nor_paths_of_the_machine_are_told(write: Callable[[list[Link]], bytes]) -> None:
    """A token is left out, and of a folder of this machine only its last name is told."""
    text = write(CHAIN).decode()
    assert "hush" not in text
    assert "/home/ada" not in text
    assert "unet" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/a/b/c.h5", "c.h5"),
        ("C:\\data\\x", "x"),
        ("file:///data/x", "x"),
        ("~/models/", "models"),
        ("1/2", "1/2"),
        ("https://ada:hush@host/x", "https://host/x"),
        ({"Password": 1, "aws_secret_access_key": 2, "weights": "a", "tokens_used": 3, "keys": 4}, {"weights": "a", "keys": 4}),
        ([Path("/a/b"), 1.5, None, True], ["b", 1.5, None, True]),
    ],
)
def test_what_is_told(value: Any, expected: Any) -> None:
    """Secrets, passwords in addresses and paths of the machine are not told; everything else is."""
    assert told(value) == expected


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    """Quotes, colons and line ends in whatever a person typed break neither format."""
    hostile = Activity(
        "a:b c\n", 'seg"ment:', "f", (), {"x\n:y": '"}'}, '1"', "e", 'eve\n:"<b>', THEN, LATER, {"name": 'm":\n', "digest": ""}
    )
    chain: list[Link] = [(MASKS, hostile)]
    labels = {str(each.label) for each in read_prov(chain).get_records(ProvActivity)}
    assert labels == {'seg"ment:'}
    action = read_crate(chain, tmp_path).root_dataset["mentions"][0]
    assert action["agent"]["name"] == 'eve\n:"<b>'
    assert next(each["name"] for each in action["object"]) == "x\n:y"


def test_what_is_not_known_any_more_is_named_and_no_more() -> None:
    """An input that the catalogue lacks stays an edge to something with a name."""
    document = read_prov(CHAIN[:1])
    assert {str(each.label) for each in document.get_records(ProvEntity)} == {MASKS.label, STANDARD.id}


def test_hardware_of_workers_and_of_one_host_is_found() -> None:
    """GPUs and nodes are found wherever the hardware names them; without workers the host is the node."""
    assert (gpus(CHAIN[0][1]), nodes(CHAIN[0][1])) == (["NVIDIA A100"], ["gpu-1", "gpu-2"])
    assert (gpus(CHAIN[1][1]), nodes(CHAIN[1][1])) == ([], ["nas-1"])


def test_the_chain_goes_up_to_raw(ws: Workspace, ingested: Artifact, made: Callable[..., Artifact]) -> None:
    """Everything that an artifact was made of is in its chain, once, and the artifact is the first."""
    standard = made(Level.STANDARD, {"a": b"1"}, at="nas")
    corrected = made(Level.CORRECTED, {"b": b"2"}, inputs=(standard,))
    masks = made(Level.MASKS, {"m": b"3"}, inputs=(corrected, standard))
    chain = lineage(ws.catalogue, masks)
    assert chain[0][0].id == masks.id
    assert sorted(each.id for each, _ in chain) == sorted(each.id for each in (masks, corrected, standard, ingested))
