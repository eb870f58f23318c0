"""Records of instructional videos in the schema of GUIDE, and its three tasks as text for any model.

A record is a task: {"query", "category", "guideline_steps_num", "guideline_steps": {k: text}, "videos": {id:
{"specific_step": {i: {"title", "guideline_step", "bounds": [start, end]}}}}}; a step of none of the guideline's links
to 0. It is JSON, and made of text keys alone.

Reference: GUIDE 2024, https://arxiv.org/abs/2406.18227, and the card of its dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from stagejax.data.video.procedure_videos import ProcedureVideos

GuideRecord = dict[str, Any]


def annotations(source: ProcedureVideos) -> list[GuideRecord]:
    """The records of all tasks; bounds are frames, the second one behind the last.

    >>> from stagejax.data.video.procedure_videos import toy
    >>> record = annotations(toy(1, videos=2))[0]
    >>> record["category"], titles(record, 1)[0], specific(record, 1)[0]["bounds"]
    ('even with odd', 'take four', [0, 3])
    """
    found = []
    for number, task in enumerate(source.tasks):
        videos = {}
        for at in range(number * source.videos, (number + 1) * source.videos):
            own = source.told(at)
            steps = zip(own["steps"], own["links"], map(list, own["bounds"]), strict=True)
            names = ("title", "guideline_step", "bounds")
            listed = {str(i): dict(zip(names, step, strict=True)) for i, step in enumerate(steps, 1)}
            videos[str(at)] = {"specific_step": listed}
        guideline = {str(k): text for k, text in enumerate(task.guideline, 1)}
        record = {"query": task.query, "category": task.domain, "guideline_steps_num": len(guideline)}
        found.append({**record, "guideline_steps": guideline, "videos": videos})
    return found


def guideline_of(record: Mapping[str, Any]) -> list[str]:
    """The steps of a record's guideline.

    >>> guideline_of({"guideline_steps": {"1": "cut it", "2": "fry it"}})
    ['cut it', 'fry it']
    """
    return list(record["guideline_steps"].values())


def specific(record: Mapping[str, Any], video: int | str) -> list[Mapping[str, Any]]:
    """The specific steps of a video by its id."""
    return list(record["videos"][str(video)]["specific_step"].values())


def titles(record: Mapping[str, Any], video: int | str) -> list[str]:
    """What is said of these steps."""
    return [step["title"] for step in specific(record, video)]


def listed(steps: Sequence[str], kind: Literal["Specific", "Guideline"]) -> str:
    """A list as GUIDE writes it.

    >>> listed(["cut it", "fry it"], "Guideline")
    'Guideline Step 1: cut it, Guideline Step 2: fry it'
    """
    return ", ".join(f"{kind} Step {at}: {step}" for at, step in enumerate(steps, 1))


def forms(record: Mapping[str, Any], video: int | str) -> dict[str, tuple[str, str]]:
    """Input and output of step captioning, guideline summarization and guideline-guided captioning, for a model that
    takes text and videos; <video> stands for a video.

    >>> steps = {"1": {"title": "cut the egg", "guideline_step": 1, "bounds": [0, 2]}}
    >>> record = {"query": "q", "guideline_steps": {"1": "cut it"}, "videos": {"7": {"specific_step": steps}}}
    >>> forms(record, 7)["guided"]
    ('<video> Guideline Step 1: cut it', 'Specific Step 1: cut the egg')
    """
    guideline, own = listed(guideline_of(record), "Guideline"), listed(titles(record, video), "Specific")
    return {
        "captioning": ("<video>", own),
        "summarization": (" ".join("<video>" for _ in record["videos"]), guideline),
        "guided": (f"<video> {guideline}", own),
    }
