"""Files of ours in Polars and DuckDB, and files of theirs in the command. Usage: parquet.py IRENE"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import polars

irene = Path(sys.argv[1]).resolve()
folder = Path(tempfile.mkdtemp())


def run(*args):
    done = subprocess.run([irene, *map(str, args)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def close(a, b):
    assert abs(a - b) <= 1e-9 * max(abs(a), abs(b)), (a, b)


def lines(name):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def nodes(node):
    return 1 + sum(map(nodes, node["child_nodes_obj"]))


models = ["bert-base-uncased", "gpt2"]
sweep = ["predict", *models, "-b", "1,8", "-s", "32,128", "--math"]
run(*sweep, "-o", "trees.parquet")
run("import", "trees.parquet", "-o", "trees.jsonl")
trees = lines("trees.jsonl")
assert len(trees) == 8, len(trees)
settings = json.loads(run(*sweep, "--format", "json"))["settings"]
joules = sum(setting["predicted_energy"] for setting in settings)
count = sum(nodes(tree["frontend_tree"]) for tree in trees)

# Ours, read by others: as many nodes, and the joules that the command says.
sql = "SELECT count(*), sum(predicted_energy_J) FILTER (level = 0) FROM 'trees.parquet'"
database = duckdb.connect()
database.execute(f"SET file_search_path = '{folder}'")
found = database.execute(sql).fetchone()
assert found[0] == count, found
close(found[1], joules)
frame = polars.read_parquet(folder / "trees.parquet")
assert frame.height == count
close(frame.filter(polars.col("level") == 0)["predicted_energy_J"].sum(), joules)
linear = frame.filter((polars.col("instance_type") == "Linear") & (polars.col("model_name") == models[0]))
by_class = database.execute(
    "SELECT sum(flops_MFLOP) FROM 'trees.parquet' WHERE instance_type = 'Linear' AND model_name = ?", [models[0]]
).fetchone()[0]
close(linear["flops_MFLOP"].sum(), by_class)

# Theirs, read by us: the same trees.
database.execute(
    f"COPY (SELECT * FROM 'trees.parquet' ORDER BY tree, node) TO '{folder}/duckdb.parquet' (FORMAT parquet)"
)
frame.sort("tree", "node").write_parquet(folder / "polars.parquet")  # compressed by zstd
for name in ["duckdb", "polars"]:
    run("import", f"{name}.parquet", "-o", f"{name}.jsonl")
    assert lines(f"{name}.jsonl") == trees, name

# A sheet of requests.
sheet = "model,device,sequences,prompt,generated,latency_s\nllama-2-7b,h100-sxm,16,512,128,2.15\nllama-2-7b,h100-sxm,1,512,128,\n"
(folder / "sheet.csv").write_text(sheet)
run("import", "sheet.csv", "-o", "sheet.parquet")
frame = polars.read_parquet(folder / "sheet.parquet")
assert frame["latency_s"].to_list() == [2.15, None] and frame["sequences"].sum() == 17
frame.write_parquet(folder / "again.parquet", compression="lz4")
run("import", "again.parquet", "-o", "again.csv")
assert (folder / "again.csv").read_text() == sheet, (folder / "again.csv").read_text()

# Records of a campaign.
run("explore", "sample", "12", "--space", "small", "-o", "designs.jsonl")
records = [
    {"hash": design["hash"], "order": order, "model_dict": design["model_dict"], "latency_s": 0.01 * (order + 1), "batch_size": 1}
    for order, design in enumerate(lines("designs.jsonl"))
]
(folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
run("import", "records.jsonl", "-o", "records.parquet")
mean = database.execute("SELECT avg(latency_s) FROM 'records.parquet'").fetchone()[0]
close(mean, 0.065)
database.execute(f"COPY (SELECT * FROM 'records.parquet') TO '{folder}/mine.parquet' (FORMAT parquet)")
run("import", "mine.parquet", "-o", "mine.jsonl")
assert lines("mine.jsonl") == records
for name in ["records.jsonl", "mine.parquet"]:
    run("explore", "fit", name, "--space", "small", "-o", f"{name}.surrogates.json")

print(f"{count} nodes of {len(trees)} trees, {len(records)} records and a sheet: the same in Polars {polars.__version__} and DuckDB {duckdb.__version__}")
