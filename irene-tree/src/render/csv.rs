use crate::{Mark, Quantity, Tree};

/// The tree as a CSV table, one line a node: scope, instance type, level, times (if some node runs more than once in its parent),
/// every quantity that some node has (its unit in the title; empty where a node lacks it), marks.
pub fn csv(tree: &Tree) -> String {
    let quantities: Vec<Quantity> =
        Quantity::all().filter(|&quantity| tree.nodes().iter().any(|node| node.get(quantity).is_some())).collect();
    let column = |quantity: &Quantity| match quantity.unit() {
        "" => quantity.name().to_owned(),
        unit => format!("{} ({unit})", quantity.name()),
    };
    let titles: Vec<String> = quantities.iter().map(column).collect();
    let has_times = tree.nodes().iter().any(|node| node.times() != 1.0);
    let times_title = if has_times { "times," } else { "" };
    let mut out = format!("scope,instance_type,level,{times_title}{},marks\n", titles.join(","));
    for node in tree.nodes() {
        let numbers = quantities.iter().map(|&q| node.get(q).map_or_else(String::new, |value| value.to_string()));
        let numbers: Vec<String> = numbers.collect();
        let marks: Vec<_> = node.marks.iter().map(Mark::name).collect();
        let names = [node.scope(), node.instance_type(), node.level().name()].map(csv_field).join(",");
        let times = if has_times { format!("{},", node.times()) } else { String::new() };
        out += &format!("{names},{times}{},{}\n", numbers.join(","), marks.join(" "));
    }
    out
}

/// A field of CSV, in quotes where it needs them (RFC 4180).
pub fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
