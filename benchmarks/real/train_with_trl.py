"""An external trainer: TRL on the folder written by `augury finetune --plan`.

`python train_with_trl.py PLAN`, in an environment with trl and peft; Augury is not imported.
It passes on each run's settings from the manifest, and sets those of the machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(plan: Path) -> None:
    """Train every run that has no checkpoint yet."""
    import torch
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(1)
    half = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    for run in json.loads((plan / "manifest.json").read_text())["runs"]:
        out, data = plan / run["checkpoint"], plan / run["data"]
        if out.exists():
            continue
        files = {"train": str(data / "train.jsonl"), "test": str(data / "held_out.jsonl")}
        examples: Any = load_dataset("json", data_files=files)
        folder = run["model"].removeprefix("hf:")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if tokenizer.eos_token is None:  # as for the lab's models: TRL needs one
            tokenizer.eos_token = tokenizer.pad_token or tokenizer.convert_ids_to_tokens(0)
        trainer = SFTTrainer(
            model=folder,
            args=SFTConfig(
                output_dir=str(plan / "states" / run["run"]), report_to=[], bf16=half,
                use_cpu=not torch.cuda.is_available(), gradient_checkpointing=False,
                logging_steps=run["trl"]["eval_steps"], **run["trl"],
            ),
            train_dataset=examples["train"],
            eval_dataset=examples["test"],
            processing_class=tokenizer,
            peft_config=LoraConfig(**run["lora"]) if run["lora"] else None,
        )  # fmt: skip
        trainer.train()
        trainer.save_model(str(out))
        losses = [row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row]
        print(run["run"], "held out:", [round(x, 3) for x in losses], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
