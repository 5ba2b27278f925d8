"""Tasks of each output type of lm-evaluation-harness, with filters, repeats, groups, metrics."""

TASKS = {
    "toy_mc": """
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: gold
fewshot_split: train
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
""",
    "toy_mc_many": """
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: ["no", "yes"]
doc_to_target: "{{gold % 2}}"
description: "Answer with yes or no.\\n\\n"
num_fewshot: 2
fewshot_split: train
metric_list:
  - {metric: acc}
  - {metric: mcc}
  - {metric: f1}
  - {metric: acc_mutual_info}
""",
    "toy_brier": """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list:
  - {metric: brier_score, higher_is_better: false}
metadata: {version: "2024-07"}
""",
    "toy_cloze": """
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: "{{word}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
metadata: {version: 2}
""",
    "toy_rolling": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity}
  - {metric: byte_perplexity}
  - {metric: bits_per_byte}
metadata: {version: 2.0}
""",
    "toy_gsm": """
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
fewshot_split: train
num_fewshot: 2
generation_kwargs: {until: ["\\n\\n"], do_sample: false}
filter_list:
  - name: strict-match
    filter: [{function: regex, regex_pattern: "answer is (\\\\-?[0-9]+)"}, {function: take_first}]
  - name: flexible-extract
    filter:
      - {function: regex, group_select: -1, regex_pattern: "(\\\\-?[0-9]+)"}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
metadata: {version: 3.0}
""",
    "toy_repeats": """
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
repeats: 4
generation_kwargs: {until: ["\\n"], do_sample: true, temperature: 0.8}
filter_list:
  - name: score-first
    filter: [{function: regex, regex_pattern: "(\\\\-?[0-9]+)"}, {function: take_first}]
  - name: maj@4
    filter:
      - {function: regex, regex_pattern: "(\\\\-?[0-9]+)"}
      - {function: majority_vote}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 0.0}
""",
    "toy_translate": """
output_type: generate_until
doc_to_text: "Translate: {{question}}"
doc_to_target: "{{text}}"
metric_list:
  - {metric: bleu}
  - {metric: chrf}
  - {metric: ter}
""",
    "toy_judged": """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
process_results: !function toy_metrics.judged
metric_list:
  - {metric: score, aggregation: mean, higher_is_better: true}
  - {metric: length_ratio, aggregation: mean, higher_is_better: false}
  - {metric: strict_acc, aggregation: !function toy_metrics.share, higher_is_better: true}
metadata: {version: 1}
""",
    "toy_ruler": """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
process_results: !function toy_metrics.lengths
metric_list:
  - {metric: "4096", aggregation: !function toy_metrics.not_run, higher_is_better: true}
  - {metric: "8192", aggregation: !function toy_metrics.not_run, higher_is_better: true}
metadata: {version: 1}
""",
    "toy_odd": """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
process_results: !function toy_metrics.odd
metric_list:
  - {metric: diverged, aggregation: !function toy_metrics.infinite, higher_is_better: false}
  - {metric: unknown, aggregation: !function toy_metrics.unknown, higher_is_better: true}
  - {metric: by_kind, aggregation: !function toy_metrics.by_kind, higher_is_better: true}
  - {metric: parts, aggregation: !function toy_metrics.parts, higher_is_better: true}
  - {metric: acc, aggregation: mean, higher_is_better: true}
metadata: {version: 1}
""",
    "toy-name+sign.v2": """
output_type: multiple_choice
task_alias: "A task, named oddly"
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list: [{metric: acc}]
""",
}
PART = """
output_type: multiple_choice
tag: toy_tag
task_alias: "{0}"
doc_to_text: "{0}: {{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
fewshot_split: train
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""
GROUPS = {
    "toy_group": """
group: toy_group
group_alias: "The group"
task: [toy_part_law, toy_part_art, toy_part_sums]
aggregate_metric_list:
  - {metric: acc, weight_by_size: true}
metadata: {version: 2}
""",
    "toy_outer": """
group: toy_outer
task: [toy_group, toy_mc]
aggregate_metric_list:
  - {metric: acc, weight_by_size: false}
""",
    "toy_loose": """
group: toy_loose
task: [toy_part_law, toy_gsm]
""",
    "toy_filters": """
group: toy_filters
task: [toy_gsm]
aggregate_metric_list:
  - {metric: exact_match, weight_by_size: true, filter_list: [strict-match, flexible-extract]}
metadata: {version: 1.0}
""",
}
METRICS = """
import math


def judged(doc, results):
    text = results[0] if isinstance(results[0], str) else results[0][0]
    right = doc["answer"] in text
    return {"score": 10.0 * right, "length_ratio": len(text) / 7, "strict_acc": right}


def share(items):
    return sum(map(float, items)) / len(items)


def lengths(doc, results):
    return {"4096": -1.0, "8192": float(doc["answer"] in str(results[0]))}


def not_run(items):
    run = [x for x in items if x != -1]
    return sum(run) / len(run) if run else -1


def odd(doc, results):
    right = float(doc["answer"] in str(results[0]))
    return {"diverged": right, "unknown": right, "by_kind": right, "parts": right, "acc": right}


def infinite(items):
    return math.inf


def unknown(items):
    return math.nan


def by_kind(items):
    return {"easy": sum(items) / len(items), "hard": 0.25}


def parts(items):
    return list(items)[:3]
"""
HEAD = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}, train: {data}}}}}
test_split: test
"""
