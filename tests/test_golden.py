"""Golden files: the expanded config and the parameter table of every experiment's presets, as text under review.

A change of a default shows up here as a difference. To accept it: STAGEJAX_RENEW=1 pytest tests/test_golden.py -m ''
"""

import json
import os
from pathlib import Path

import pytest

from stagejax import Plan
from stagejax.declare import declare
from stagejax.experiment import find, modules
from stagejax.parameters import parameter_rows, parameter_text
from stagejax.program import build

GOLDEN = Path(__file__).parent / "golden"
CASES = [  # all but those of the main job together take minutes
    pytest.param(name, preset, id=f"{name}-{preset}", marks=() if name == "bert2bert" else pytest.mark.slow)
    for name in modules()
    for preset in find(name).presets
]
MESHES = {
    "pod": "data=16,fsdp=16",
    "pcp-pod": "data=4,fsdp=2",  # fine-tuned on 8 texts a batch
    "distilling_step_by_step-pod": "data=8,fsdp=8",  # 64 a batch
    "blsp-pod": "data=8,fsdp=16",  # 128 instructions a batch
    "self_generated_tokens_bash_rac-pod": "data=8,fsdp=16",  # 128 pairs a batch
    "gfslt_vlp-pod": "data=16,sequence=16",  # 16 videos a batch
    "guide_benchmark-pod": "data=4,fsdp=4",  # summaries of 16 tasks a batch
    "preroutgnn-pod": "data=4,fsdp=4",  # 17 parts of circuits
    "learning_by_teaching-pod-8b": "data=16,fsdp=16",
    "unipt-pod": "data=16,fsdp=4",  # fine-tuned on 64 a batch
    "staged_fusion-pod": "data=16,fsdp=4",  # 64 remarks a batch
    "meta_demo_retrieval-pod": "data=16,fsdp=2",  # tuned on 32 a batch
    "orkg_prompt_qa-pod": "data=16,fsdp=2",  # tuned on 32 a batch
    "superficial_alignment-pod": "data=8,fsdp=16",  # fine-tuned on 128 a batch
    "rise_judge_sft_dpo-pod": "data=8,fsdp=16",  # DPO on 128 pairs a batch
    "digirl_offline_to_online-pod": "data=4,fsdp=4",  # 16 episodes a batch
    "itool-pod": "data=1,fsdp=8",  # 8 pairs a batch
    "strategy_library-pod": "data=4,fsdp=64",  # the teacher has 78 G parameters
}


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_preset_is_as_reviewed(name: str, preset: str) -> None:
    experiment = find(name)
    config = experiment.config(preset)
    mesh = MESHES.get(f"{name}-{preset}", MESHES.get(preset, "data=1"))
    plan = Plan.on(mesh, price=False)
    experiment.pipeline(plan, config)
    last = [result.stage for result in plan.results if result.kind == "train"][-1]
    text = (
        f"{json.dumps(declare(config), indent=1)}\n\n"
        f"stages: {' '.join(result.name for result in plan.results)}\n\n"
        f"parameters of {last.name} on {mesh}\n"
        f"{parameter_text(parameter_rows(build(last, plan.mesh)))}"
    )
    path = GOLDEN / f"{name}-{preset}.txt"
    if os.environ.get("STAGEJAX_RENEW"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no golden file for {name} {preset}: STAGEJAX_RENEW=1 pytest tests/test_golden.py -m ''"
    assert text == path.read_text(encoding="utf-8"), "accept it by STAGEJAX_RENEW=1 pytest tests/test_golden.py -m ''"
