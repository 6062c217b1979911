//! Every number of docs/worked-example.md, computed from the code and the shipped profile.
//!
//! Each claim of the page is put together here from what the crates say, looked up and struck out. The text that is left at the end
//! must not have a digit in it, so that no number stands in the page that nobody computed.

use irene_models::ModelSpec;
use irene_regress::{CONFIDENCE, DeviceProfile, PRICE_PER_KWH, SizeRanges, Term, kwh_per_million};
use irene_tree::{Level, Node, NodeId, Quantity, Size, Tree, render};
use safetensors::SafeTensors;

use crate::{docs, read, root};

const MODEL: &str = "bert-base-uncased";
const DEVICE: &str = "gtx-1080-ti";
const LAYER: &str = "root.encoder.0";
const QUERY: &str = "root.encoder.0.attention.self.query";
const BATCH: usize = 8;
const SEQ: usize = 128;

/// A page of which is struck out what was found to be right.
struct Page {
    rest: String,
    missing: Vec<String>,
}

impl Page {
    fn open(name: &str) -> Self {
        Self { rest: read(&docs().join(name)), missing: Vec::new() }
    }

    /// The page says this, once more than was struck out so far.
    fn says(&mut self, claim: impl AsRef<str>) {
        let claim = claim.as_ref();
        // Lines break anywhere in prose.
        let pattern: Vec<&str> = claim.split_whitespace().collect();
        match find_words(&self.rest, &pattern) {
            Some((start, end)) => self.rest.replace_range(start..end, "~"),
            None => self.missing.push(claim.to_owned()),
        }
    }

    /// These lines, one after another.
    fn has_lines(&mut self, lines: &[String]) {
        let block = lines.join("\n");
        match self.rest.find(&block) {
            Some(start) => self.rest.replace_range(start..start + block.len(), "~"),
            None => self.missing.extend(lines.iter().filter(|line| !self.rest.contains(*line)).cloned()),
        }
    }

    /// Names may have digits in them.
    fn names(&mut self, name: &str) {
        assert!(self.rest.contains(name), "the page does not name {name}");
        self.rest = self.rest.replace(name, "~");
    }

    /// Takes the blocks of a language out.
    fn blocks(&mut self, language: &str) -> Vec<String> {
        let (fence, mut blocks) = (format!("```{language}\n"), Vec::new());
        while let Some(start) = self.rest.find(&fence) {
            let body = start + fence.len();
            let end = body + self.rest[body..].find("```\n").unwrap();
            blocks.push(self.rest[body..end].to_owned());
            self.rest.replace_range(start..end + 4, "~\n");
        }
        blocks
    }

    fn assert_is_accounted_for(&self) {
        assert!(self.missing.is_empty(), "the page does not say:\n{}", self.missing.join("\n"));
        let left: Vec<&str> = self.rest.lines().filter(|line| line.contains(char::is_numeric)).collect();
        assert!(left.is_empty(), "numbers that nobody computed:\n{}", left.join("\n"));
    }
}

/// Where these words stand after one another, whatever space is between them.
fn find_words(text: &str, words: &[&str]) -> Option<(usize, usize)> {
    let first = words.first()?;
    text.match_indices(first).map(|(start, _)| start).find_map(|start| {
        let mut rest = &text[start..];
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                let trimmed = rest.trim_start();
                if trimmed.len() == rest.len() {
                    return None;
                }
                rest = trimmed;
            }
            rest = rest.strip_prefix(word)?;
        }
        let end = text.len() - rest.len();
        // Not in the middle of a longer number.
        let goes_on = |c: char| c.is_numeric();
        let is_cut = rest.starts_with(goes_on)
            || text[..start].ends_with(goes_on) && first.starts_with(goes_on)
            || rest.starts_with(['.', ',']) && rest[1..].starts_with(goes_on);
        (!is_cut).then_some((start, end))
    })
}

/// 1234567 as 1,234,567.
fn grouped(count: f64) -> String {
    let digits = format!("{count:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

fn joules(value: f64) -> String {
    render::si(value, "J")
}

fn seconds(value: f64) -> String {
    render::si(value, "s")
}

struct Example {
    /// With its single operations, and without.
    with_math: Tree,
    tree: Tree,
    profile: DeviceProfile,
}

impl Example {
    fn new() -> Self {
        let mut with_math = ModelSpec::find(MODEL).unwrap().trace(Size::new(BATCH, SEQ)).unwrap();
        let profile = DeviceProfile::bundled(DEVICE).unwrap();
        let mut tree = with_math.without_math();
        profile.predict(&mut tree).unwrap();
        profile.predict(&mut with_math).unwrap();
        Self { with_math, tree, profile }
    }

    fn id(&self, scope: &str) -> NodeId {
        self.tree.find(scope).unwrap()
    }

    fn get(&self, scope: &str, quantity: Quantity) -> f64 {
        self.tree.node(self.id(scope)).get(quantity).unwrap()
    }

    fn energy(&self, scope: &str) -> f64 {
        self.get(scope, Quantity::PredictedEnergy)
    }

    /// The layer's nodes as rows of a table.
    fn nodes(&self) -> Vec<String> {
        let tree = &self.with_math;
        let rows = tree.ids().filter(|&id| {
            let scope = tree.node(id).scope();
            scope == LAYER || scope.starts_with(&format!("{LAYER}."))
        });
        let row = |id: NodeId| {
            let node = tree.node(id);
            let scope = node.scope().strip_prefix(&format!("{LAYER}.")).unwrap_or(LAYER);
            let shape = node.operation.as_ref().map_or(String::new(), |operation| {
                operation.output.shape.dims().iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
            });
            let counts = [Quantity::Flops, Quantity::MemBytes, Quantity::MovedBytes]
                .map(|quantity| render::quantity(quantity, node.get(quantity).unwrap()));
            let kernels = node.get(Quantity::Kernels).unwrap();
            format!(
                "| `{scope}` | {} | {} | {shape} | {} | {kernels} |",
                node.instance_type(),
                node.level().name(),
                counts.join(" | ")
            )
        };
        rows.map(row).collect()
    }

    /// A list of the shipped profile's file.
    fn coefficients(&self, name: &str) -> [f64; 3] {
        let bytes = std::fs::read(root().join(format!("irene-regress/profiles/{DEVICE}.specs.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let numbers = tensor.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        numbers.collect::<Vec<_>>().try_into().unwrap()
    }
}

/// The counting rules by hand, beside what the crates count.
fn one_linear(page: &mut Page, example: &Example) {
    let operation = example.tree.node(example.id(QUERY)).operation.clone().unwrap();
    let [x, weight, bias] = [0, 1, 2].map(|place: usize| operation.inputs.get(place).unwrap().shape.dims().to_vec());
    let ([b, m, n], [p, _]) = (<[usize; 3]>::try_from(x).unwrap(), <[usize; 2]>::try_from(weight).unwrap());
    assert_eq!((b, m, bias.as_slice()), (BATCH, SEQ, &[p][..]));
    page.says(format!("multiplies x ({b} x {m} x {n}) by a weight ({p} x {n}) and adds a bias ({p})"));
    let (elements, width) = ((b * m * p) as f64, operation.output.format.bytes(1) as f64);
    page.says(format!(
        "With B = {b} sequences, m = {m} tokens, n = {n} inputs, p = {p} outputs, E = {} elements of the output and w = {width} bytes",
        grouped(elements)
    ));
    let sizes = [m * n, n * p, m * p].map(|size| grouped(size as f64)).join(" + ");
    let [product_flops, product_bytes] = [2 * b * m * n * p, b * (m * n + n * p + m * p) * 4].map(|count| count as f64);
    let [bias_flops, bias_bytes] = [elements, 2.0 * elements * width];
    let operands = (b * m * n + n * p + p) as f64;
    let moved = (operands + 3.0 * elements) * width;
    page.has_lines(&[
        format!("| FLOPs of the product | 2·B·m·n·p | 2 · {b} · {m} · {n} · {p} | {} |", grouped(product_flops)),
        format!("| FLOPs of the bias | E | {b} · {m} · {p} | {} |", grouped(bias_flops)),
        format!("| bytes of the product | B·(m·n + n·p + m·p)·w | {b} · ({sizes}) · {width} | {} |", grouped(product_bytes)),
        format!("| bytes of the bias | 2·E·w | 2 · {} · {width} | {} |", grouped(elements), grouped(bias_bytes)),
        format!(
            "| bytes moved: inputs once, and the output written, read and written (by the product, then by the bias) | (x + W + b + 3·E)·w | ({} + {} + {} + 3 · {}) · {width} | {} |",
            grouped((b * m * n) as f64),
            grouped((n * p) as f64),
            p,
            grouped(elements),
            grouped(moved)
        ),
    ]);
    let (mflop, mib) = ((product_flops + bias_flops) / 1e6, (product_bytes + bias_bytes) / 1048576.0);
    // By hand and by the crates it is the same.
    assert_eq!(example.get(QUERY, Quantity::Flops), mflop);
    assert_eq!(example.get(QUERY, Quantity::MemBytes), mib);
    assert_eq!(example.get(QUERY, Quantity::MovedBytes), moved / 1048576.0);
    page.says(format!("In all {mflop} MFLOP and {mib} MiB"));
    page.says(format!("{mib} MiB are counted and {} moved", render::bytes(moved)));
    page.has_lines(&[
        format!("| `tiled_flops` | {:.3} MFLOP |", example.get(QUERY, Quantity::TiledFlops)),
        format!("| `moved_bytes` | {:.3} MiB |", moved / 1048576.0),
        format!("| `num_parameters` | {} |", grouped((n * p + p) as f64)),
        format!("| `seq_len` | {m} |"),
    ]);
    assert_eq!(example.get(QUERY, Quantity::NumParameters), (n * p + p) as f64);
    let tile = 64;
    assert!((b * m).is_multiple_of(tile) && p.is_multiple_of(tile));
    assert_eq!(example.get(QUERY, Quantity::TiledFlops), mflop);
    page.says(format!("The output has {} rows of {p} columns, which fill whole tiles of {tile} by {tile}", b * m));
}

/// The laws by hand, with the coefficients of the profile's file, beside what the predictor says.
fn laws(page: &mut Page, example: &Example) {
    let [launch, f, b] = example.coefficients("primitive.linear.time");
    let [power, joules_mflop, joules_mib] = example.coefficients("primitive.linear.energy");
    page.has_lines(&[
        format!("| L | {} |", seconds(launch)),
        format!("| f | {}/MFLOP |", seconds(f)),
        format!("| b | {}/MiB |", seconds(b)),
        format!("| P | {power:.1} W |"),
        format!("| f' | {}/MFLOP |", joules(joules_mflop)),
        format!("| b' | {}/MiB |", joules(joules_mib)),
    ]);
    page.says("t = (Lᵖ + (f·F + b·B)ᵖ)^(1/p) with p = 4, and costs P·t + f'·F + b'·B");
    let [mflop, mib] = [Quantity::TiledFlops, Quantity::MovedBytes].map(|quantity| example.get(QUERY, quantity));
    let work = f * mflop + b * mib;
    let law = (launch.powi(4) + work.powi(4)).powf(0.25);
    let (latency, energy) = (example.get(QUERY, Quantity::PredictedLatency), example.energy(QUERY));
    page.has_lines(&[
        format!("| f·F | {} |", seconds(f * mflop)),
        format!("| b·B | {} |", seconds(b * mib)),
        format!("| (L⁴ + (f·F + b·B)⁴)^(1/4) | {} |", seconds(law)),
        format!("| times {:.3} | {} |", latency / law, seconds(latency)),
    ]);
    let parts = [power * latency, joules_mflop * mflop, joules_mib * mib];
    let by_law: f64 = parts.iter().sum();
    page.has_lines(&[
        format!("| P·t | {} |", joules(parts[0])),
        format!("| f'·F | {} |", joules(parts[1])),
        format!("| b'·B | {} |", joules(parts[2])),
        format!("| their sum | {} |", joules(by_law)),
        format!("| times {:.4} | {} |", energy / by_law, joules(energy)),
    ]);
    let explanation = example.profile.predictor.explain(&example.tree, example.id(QUERY)).unwrap();
    let departure = |terms: &[Term]| terms.last().unwrap().coefficient;
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    close(1.0 + departure(&explanation.latency), latency / law);
    close(1.0 + departure(&explanation.energy), energy / by_law);
    close(explanation.energy.iter().map(Term::value).sum(), energy);
    let percent = |terms: &[Term]| format!("{:.1}%", 100.0 * departure(terms));
    let (longer, more) = (percent(&explanation.latency), percent(&explanation.energy));
    page.says(format!(
        "were measured to take {longer} longer than the law has it, and at that latency {more} more energy"
    ));
    let of_launch = &explanation.latency[0];
    assert_eq!(of_launch.name, "launch");
    page.says(format!("{} of the law's {} are the launch's", seconds(of_launch.value()), seconds(law)));
}

fn up_the_tree(page: &mut Page, example: &Example) {
    let scope = "root.encoder.0.attention.self";
    let id = example.id(scope);
    let explanation = example.profile.predictor.explain(&example.tree, id).unwrap();
    let own: Vec<&Term> = explanation.energy.iter().filter(|term| term.unit != "node").collect();
    let children: Vec<NodeId> = example.tree.children(id).collect();
    let mut rows = Vec::new();
    for class in ["Linear", "MatMul", "Softmax"] {
        let of_class = || children.iter().map(|&id| example.tree.node(id)).filter(|node| node.is_instance_of(class));
        let each = of_class().next().unwrap().get(Quantity::PredictedEnergy).unwrap();
        let sum: f64 = of_class().map(|node| node.get(Quantity::PredictedEnergy).unwrap()).sum();
        rows.push(format!("| {class} | {} | {} | {} |", of_class().count(), joules(each), joules(sum)));
    }
    let (departures, law): (Vec<&Term>, Vec<&Term>) = own.iter().copied().partition(|term| term.unit == "J");
    for term in law {
        let each = format!("{}/{}", joules(term.coefficient), term.unit);
        let amount = (1e4 * term.amount).round() / 1e4;
        let unit = if term.unit == "kernel" { "kernels" } else { term.unit };
        rows.push(format!("| own: {} | {amount} {unit} | {each} | {} |", term.name, joules(term.value())));
    }
    for Term { name, amount, coefficient, .. } in departures {
        let share = 100.0 * coefficient;
        rows.push(format!("| {name} | {} | {share:.3}% | {} |", joules(*amount), joules(coefficient * amount)));
    }
    rows.push(format!("| sum | | | {} |", joules(example.energy(scope))));
    let sum: f64 = explanation.energy.iter().map(Term::value).sum();
    assert!((sum / example.energy(scope) - 1.0).abs() < 1e-12);
    page.has_lines(&rows);

    let below = example.with_math.find(scope).unwrap();
    let math: Vec<&str> = example
        .with_math
        .children(below)
        .map(|id| example.with_math.node(id))
        .filter(|node| node.level() == Level::Math)
        .map(Node::instance_type)
        .collect();
    let count = |class: &str| math.iter().filter(|known| **known == class).count();
    assert_eq!((count("div"), count("add"), own[0].amount), (1, 1, math.len() as f64));
    page.says(format!("Its {} own kernels are {} copies, a division and an addition", math.len(), count("copy")));

    let modules = ["attention.self", "attention.output", "attention", "intermediate", "output"];
    let row = |name: &str| {
        let scope = if name.is_empty() { LAYER.to_owned() } else { format!("{LAYER}.{name}") };
        let get = |quantity| example.get(&scope, quantity);
        let (energy, own) = (get(Quantity::PredictedEnergy), get(Quantity::OwnEnergy));
        format!(
            "| `{}` | {} | {} | {} | {} to {} | {} |",
            if name.is_empty() { LAYER } else { name },
            joules(energy - own),
            joules(own),
            joules(energy),
            joules(get(Quantity::PredictedLow)),
            joules(get(Quantity::PredictedHigh)),
            seconds(get(Quantity::PredictedLatency))
        )
    };
    page.has_lines(&modules.iter().copied().chain([""]).map(row).collect::<Vec<_>>());
}

fn what_it_comes_to(page: &mut Page, example: &Example) {
    let (energy, model) = (example.energy(LAYER), example.energy("root"));
    let get = |quantity| example.get(LAYER, quantity);
    page.says(format!(
        "The layer costs {} a run, in {} at {:.0} W",
        joules(energy),
        seconds(get(Quantity::PredictedLatency)),
        get(Quantity::PredictedPower)
    ));
    page.says(format!(
        "Its {:.0}% interval is {} to {}.",
        100.0 * CONFIDENCE,
        joules(get(Quantity::PredictedLow)),
        joules(get(Quantity::PredictedHigh))
    ));
    page.says(format!("The model costs {}, of which the layer is {:.1}%", joules(model), 100.0 * energy / model));
    let encoder = example.tree.children(example.id("root.encoder"));
    let layers: Vec<f64> = encoder.map(|id| example.tree.node(id).get(Quantity::PredictedEnergy).unwrap()).collect();
    assert!(layers.iter().all(|layer| (layer / energy - 1.0).abs() < 1e-12));
    let together = example.energy("root.encoder");
    assert!((layers.iter().sum::<f64>() / together - 1.0).abs() < 1e-12);
    page.says(format!("{} such layers are the encoder, {}", layers.len(), joules(together)));
    let kwh = kwh_per_million(model);
    page.says(format!(
        "A million runs of the layer are {:.3} kWh; of the model {kwh:.3} kWh, {:.3} USD at {PRICE_PER_KWH} USD a kWh",
        kwh_per_million(energy),
        kwh * PRICE_PER_KWH
    ));
    let data = &example.profile.provenance.training_data;
    let trees = data.split(' ').next().unwrap();
    let SizeRanges { sequences: [least, most], new: [shortest, longest], .. } =
        example.profile.provenance.sizes.unwrap();
    assert!(data.contains(MODEL) && (least..=most).contains(&BATCH) && (shortest..=longest).contains(&SEQ), "{data}");
    page.says(format!("this very model and size among {trees} trees"));
}

#[test]
fn every_number_of_the_worked_example_is_what_the_code_computes() {
    let (mut page, example) = (Page::open("worked-example.md"), Example::new());
    // The page quotes the code that runs.
    let spaceless = |code: &str| code.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let models = root().join("irene-models/src/models");
    let code = ["bert/layer.rs", "heads.rs"].map(|file| spaceless(&read(&models.join(file)))).join("\n");
    let quoted = page.blocks("rust,ignore");
    assert_eq!(quoted.len(), 2);
    for block in quoted {
        assert!(code.contains(spaceless(&block).trim()), "the code does not have\n{block}");
    }
    // The other block is run as a documentation test, whose assertions are its numbers.
    let blocks = page.blocks("rust");
    assert!(blocks.len() == 1 && blocks[0].matches("assert_eq!").count() == 4);
    for command in [
        format!("irene trace {MODEL} -b {BATCH} -s {SEQ} --math"),
        format!("irene explain {MODEL} {QUERY} -b {BATCH} -s {SEQ}"),
    ] {
        page.says(format!("`{command}`"));
    }
    page.says(format!("{BATCH} sequences of {SEQ} tokens"));
    page.has_lines(&example.nodes());
    one_linear(&mut page, &example);
    laws(&mut page, &example);
    up_the_tree(&mut page, &example);
    what_it_comes_to(&mut page, &example);
    for name in [LAYER, DEVICE, "GTX 1080 Ti"] {
        page.names(name);
    }
    page.assert_is_accounted_for();
}

#[test]
fn a_number_that_nobody_computed_is_found() {
    let mut page = Page { rest: "It is 12.5 J,\nnot 7 J.".into(), missing: Vec::new() };
    page.says("is 12");
    page.says("2.5 J");
    assert_eq!(page.missing, ["is 12", "2.5 J"]);
    page.missing.clear();
    page.says("is 12.5 J, not");
    let failed = std::panic::catch_unwind(|| page.assert_is_accounted_for()).unwrap_err();
    assert!(failed.downcast_ref::<String>().unwrap().ends_with("It ~ 7 J."));
}

#[test]
fn the_worked_example_of_a_decoder_is_the_one_that_runs() {
    let page = read(&docs().join("adding-an-architecture.md"));
    let families = root().join("irene-models/src/models/decoder/families");
    let code = read(&families.join("smollm3.rs")) + &read(&families.join("mod.rs"));
    let section = &page[page.find("## A decoder").unwrap()..page.find("## Another architecture").unwrap()];
    let quoted: Vec<&str> = section.split("```").filter_map(|block| block.strip_prefix("rust,ignore\n")).collect();
    assert_eq!(quoted.len(), 3);
    for block in quoted {
        assert!(code.contains(block.trim()), "the family's code does not have\n{block}");
    }
}
