//! The chain as a picture: Mermaid for Markdown, DOT for Graphviz.

use super::model::{Chain, Function, Join, Rule, Target};

/// Draws a flowchart for Mermaid.
pub fn mermaid(chain: &Chain) -> String {
    let mut text = String::from("flowchart LR\n    start(( ))\n");
    for (index, function) in chain.functions.iter().enumerate() {
        text += &format!("    f{index}[\"{}\"]\n", title(function));
    }
    text += "    result([result])\n";
    for start in &chain.start {
        text += &format!("    start --> f{start}\n");
    }
    for edge in edges(chain) {
        let label = match edge.label.as_str() {
            "" => String::new(),
            label => format!("|\"{}\"|", label.replace('"', "#quot;")),
        };
        text += &format!("    f{} -->{label} {}\n", edge.from, edge.to);
    }
    text
}

/// Draws a digraph for Graphviz.
pub fn dot(chain: &Chain) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!("digraph {} {{\n    rankdir=LR;\n", quoted(&chain.name));
    text += "    start [shape=point];\n    result [shape=doublecircle, label=result];\n";
    for (index, function) in chain.functions.iter().enumerate() {
        let title = title(function);
        text += &format!("    f{index} [shape=box, label={}];\n", quoted(&title));
    }
    for start in &chain.start {
        text += &format!("    start -> f{start};\n");
    }
    for edge in edges(chain) {
        let label = match edge.label.as_str() {
            "" => String::new(),
            label => format!(" [label={}]", quoted(label)),
        };
        text += &format!("    f{} -> {}{label};\n", edge.from, edge.to);
    }
    text + "}\n"
}

/// A function's name, and what it joins.
fn title(function: &Function) -> String {
    match function.join {
        None => function.name.clone(),
        Some(Join::All) => format!("{} (joins all)", function.name),
        Some(Join::Of(of)) => format!("{} (joins the first {of})", function.name),
    }
}

struct Edge {
    from: usize,
    to: String,
    label: String,
}

fn edges(chain: &Chain) -> Vec<Edge> {
    let mut edges = Vec::new();
    for index in 0..chain.functions.len() {
        let rules: Vec<_> = chain.rules_of(index).collect();
        if rules.iter().all(|(_, rule)| rule.on_dead) {
            edges.push(Edge { from: index, to: "result".to_owned(), label: String::new() });
        }
        for (_, rule) in rules {
            edges.extend(rule.to.iter().map(|target| Edge {
                from: index,
                to: match target {
                    Target::Function(to) => format!("f{to}"),
                    Target::Result => "result".to_owned(),
                },
                label: label(rule),
            }));
        }
    }
    edges
}

fn label(rule: &Rule) -> String {
    let mut parts = Vec::new();
    parts.extend(rule.when.clone());
    parts.extend(rule.otherwise.then(|| "otherwise".to_owned()));
    parts.extend(rule.on_dead.then(|| "on dead".to_owned()));
    parts.extend(rule.at_most.map(|bound| format!("at most {bound}")));
    parts.join(", ")
}
