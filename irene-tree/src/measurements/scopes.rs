use std::collections::{HashMap, HashSet};

use crate::{Level, NodeId, Quantity, Tree};

/// How a row names nodes of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Scope,
    Class,
}

/// The nodes of a tree by their scopes and classes.
pub(super) struct Index<'a> {
    tree: &'a Tree,
    scopes: HashMap<&'a str, Vec<NodeId>>,
    classes: HashMap<String, Vec<NodeId>>,
}

/// Prefixes that frameworks put before a model's own paths: the attribute of a task's model that holds the trunk, and wrappers.
const WRAPPERS: [&str; 9] =
    ["module", "_orig_mod", "model", "base_model", "bert", "roberta", "distilbert", "electra", "transformer"];

const ROOT: &str = "root";

impl<'a> Index<'a> {
    pub(super) fn of(tree: &'a Tree) -> Self {
        let mut index = Self { tree, scopes: HashMap::new(), classes: HashMap::new() };
        for id in tree.ids() {
            let node = tree.node(id);
            index.scopes.entry(node.scope()).or_default().push(id);
            index.classes.entry(node.instance_type().to_ascii_lowercase()).or_default().push(id);
        }
        index
    }

    /// The nodes that a row names. Nodes with one scope are repeated runs of one operation; nodes of one class do equal work.
    pub(super) fn find(&self, scope: Option<&str>, class: Option<&str>) -> Result<(By, Vec<NodeId>), String> {
        // IrEne's files name both in one cell.
        let (scope, class) = match scope.and_then(|scope| scope.split_once(':')) {
            Some((scope, of_scope)) => (Some(scope), class.or(Some(of_scope))),
            None => (scope, class),
        };
        // `torch.nn.modules.linear.Linear`
        let class = class.map(|class| class.rsplit('.').next().unwrap_or(class).trim().to_ascii_lowercase());
        match (scope.filter(|scope| !scope.is_empty()), class) {
            (Some(scope), class) => Ok((By::Scope, self.by_scope(scope, class.as_deref())?)),
            (None, Some(class)) => Ok((By::Class, self.by_class(&class)?)),
            (None, None) if scope.is_none() => Ok((By::Scope, vec![NodeId::ROOT])),
            (None, None) => Err("it has no scope (the whole model is `root`)".into()),
        }
    }

    fn by_scope(&self, scope: &str, class: Option<&str>) -> Result<Vec<NodeId>, String> {
        let Some(found) = self.scoped(scope) else {
            return Err(format!("{} has no such node", self.tree.model_name));
        };
        let is_it = |id: &NodeId| class.is_some_and(|class| self.tree.node(*id).is_instance_of(class));
        if class.is_none() || found.iter().any(is_it) {
            return Ok(found.clone());
        }
        // An operation may be named by the module that runs it.
        let run: Vec<NodeId> = self.tree.children(found[0]).filter(is_it).collect();
        Ok(if run.is_empty() { found.clone() } else { run })
    }

    fn scoped(&self, scope: &str) -> Option<&Vec<NodeId>> {
        let scope = scope.trim().replace(['/', '['], ".").replace(']', "");
        let mut parts: Vec<&str> = scope.split('.').filter(|part| !part.is_empty()).collect();
        if parts.first() == Some(&ROOT) {
            parts.remove(0);
        }
        loop {
            let own = |parts: &[&str]| self.scopes.get([&[ROOT], parts].concat().join(".").as_str());
            if let Some(found) = own(&parts).or_else(|| own(&self.without_containers(&parts))) {
                return Some(found);
            }
            if !WRAPPERS.contains(parts.first()?) {
                let is_root = parts.len() == 1 && self.is_name_of_root(parts[0]);
                return if is_root { self.scopes.get(ROOT) } else { None };
            }
            parts.remove(0);
        }
    }

    fn is_name_of_root(&self, name: &str) -> bool {
        self.tree.model_name == name || self.tree.root().is_instance_of(name)
    }

    /// `encoder.layer.0` becomes `encoder.0`: a name before a number is a list unless it is a node.
    fn without_containers<'p>(&self, parts: &[&'p str]) -> Vec<&'p str> {
        let mut kept: Vec<&str> = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let before_number = parts.get(place + 1).is_some_and(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
            let scope = || [&[ROOT], &kept[..], &[*part]].concat().join(".");
            if !before_number || self.scopes.contains_key(scope().as_str()) {
                kept.push(part);
            }
        }
        kept
    }

    /// The nodes of a class, if they all do the same work.
    fn by_class(&self, class: &str) -> Result<Vec<NodeId>, String> {
        let Some(found) = self.classes.get(class) else {
            return Err(format!("{} has no node of this class", self.tree.model_name));
        };
        const WORK: [Quantity; 3] = [Quantity::NumParameters, Quantity::Flops, Quantity::MovedBytes];
        let work = |id: &NodeId| WORK.map(|quantity| self.tree.node(*id).get(quantity).map(f64::to_bits));
        let different: HashSet<_> = found.iter().map(work).collect();
        match different.len() {
            1 => Ok(found.clone()),
            count => Err(format!("{} has {count} different kinds of it; give the scope", self.tree.model_name)),
        }
    }

    /// Scopes and classes that look like what a row names.
    pub(super) fn near(&self, what: &str) -> Vec<String> {
        let nodes = self.tree.nodes().iter().filter(|node| node.level() != Level::Math);
        let mut names: Vec<&str> = nodes.flat_map(|node| [node.scope(), node.instance_type()]).collect();
        names.sort_unstable();
        names.dedup();
        // The parts of a path, without the lists that our scopes leave out.
        let parts: Vec<&str> = what.split('.').collect();
        let plain = nearest(&self.without_containers(&parts).join("."), names.iter().copied());
        if plain.is_empty() { nearest(what, names.into_iter()) } else { plain }
    }
}

/// Up to two names that look most like this one, the nearest first.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Vec<String> {
    const ALIKE: f64 = 0.6;
    const MOST: usize = 2;
    let name = name.to_lowercase();
    let alike = |known: &str| {
        let known = known.to_lowercase();
        let bare = known.strip_prefix("root.").unwrap_or(&known);
        f64::max(strsim::normalized_levenshtein(&name, &known), strsim::normalized_levenshtein(&name, bare))
    };
    let begins = |known: &str| !name.is_empty() && known.to_lowercase().starts_with(&name);
    let mut scored: Vec<(f64, &str)> =
        known.map(|known| (alike(known) + f64::from(u8::from(begins(known))), known)).collect();
    scored.retain(|(score, _)| *score > ALIKE);
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.into_iter().take(MOST).map(|(_, known)| known.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Size, TreeBuilder, tree::tests::model};

    fn tree() -> Tree {
        let mut builder = TreeBuilder::new("mine", Size::new(1, 1));
        builder.enter("root", "BertModel", Level::Model);
        for layer in ["encoder.0", "encoder.1"] {
            builder.enter(layer, "BertLayer", Level::Module).set(Quantity::Flops, 9.0);
            builder
                .leaf("up", "Linear", Level::Ml, None)
                .set(Quantity::Flops, if layer.ends_with('0') { 1.0 } else { 2.0 });
            builder.leaf("matmul", "MatMul", Level::Ml, None);
            builder.leaf("matmul", "MatMul", Level::Ml, None);
            builder.leave();
        }
        builder.leave();
        builder.finish().unwrap()
    }

    fn found(scope: Option<&str>, class: Option<&str>) -> Result<(By, Vec<usize>), String> {
        let (by, ids) = Index::of(&tree()).find(scope, class)?;
        Ok((by, ids.iter().map(|id| id.index()).collect()))
    }

    #[test]
    fn a_scope_is_found_as_frameworks_write_it() {
        let names = [
            "root.encoder.0.up",
            "encoder.0.up",
            "encoder.layer.0.up",
            "bert.encoder.layer.0.up",
            "model.bert.encoder.layer[0].up",
            "_orig_mod.encoder/layer/0/up",
            " encoder.layer.0.up:Linear",
        ];
        for name in names {
            assert_eq!(found(Some(name), None), Ok((By::Scope, vec![2])), "{name}");
        }
        for root in ["root", "mine", "BertModel", "bertmodel"] {
            assert_eq!(found(Some(root), None), Ok((By::Scope, vec![0])), "{root}");
        }
        assert_eq!(found(None, None), Ok((By::Scope, vec![0])));
        assert_eq!(found(Some("encoder.0.matmul"), None), Ok((By::Scope, vec![3, 4])));
        // IrEne's files name an operation by the module that runs it.
        assert_eq!(found(Some("encoder.layer.1:MatMul"), None), Ok((By::Scope, vec![7, 8])));
        assert_eq!(found(Some("encoder.1"), Some("BertSdpaLayer")), Ok((By::Scope, vec![5])));
    }

    #[test]
    fn a_class_is_found_where_all_its_nodes_do_the_same() {
        assert_eq!(found(None, Some("BertLayer")), Ok((By::Class, vec![1, 5])));
        assert_eq!(found(Some(""), Some("transformers.models.bert.BertLayer")), Ok((By::Class, vec![1, 5])));
        assert_eq!(found(None, Some("Linear")).unwrap_err(), "mine has 2 different kinds of it; give the scope");
        assert_eq!(found(None, Some("Softmax")).unwrap_err(), "mine has no node of this class");
        assert_eq!(found(Some(""), None).unwrap_err(), "it has no scope (the whole model is `root`)");
        assert_eq!(found(Some("encoder.2.up"), None).unwrap_err(), "mine has no such node");
    }

    #[test]
    fn near_names_are_told() {
        let tree = tree();
        assert_eq!(Index::of(&tree).near("encoder.0.upp"), ["root.encoder.0.up", "root.encoder.1.up"]);
        assert_eq!(Index::of(&tree).near("encoder.layers.1.upp"), ["root.encoder.1.up", "root.encoder.0.up"]);
        assert_eq!(Index::of(&tree).near("BertLyer"), ["BertLayer"]);
        assert!(Index::of(&tree).near("xyz").is_empty());
        assert!(nearest("", ["a"].into_iter()).is_empty());
        // More than six letters of ten have to be right.
        assert_eq!(
            (nearest("abcde", ["abcxy"].into_iter()), nearest("abcde", ["abcdy"].into_iter())),
            (vec![], vec!["abcdy".to_owned()])
        );
        // A beginning is near however long the rest is.
        assert_eq!(
            nearest("energy", ["x", "Energy of the whole model (J)"].into_iter()),
            ["Energy of the whole model (J)"]
        );
    }

    #[test]
    fn a_list_that_is_a_node_stays_and_another_one_before_a_number_does_not() {
        let tree = model(|builder| {
            builder.enter("h", "List", Level::Module);
            builder.enter("0", "Layer", Level::Module);
            builder.leaf("1", "Linear", Level::Ml, None);
            builder.leave();
            builder.leave();
        });
        let of = |scope: &str| Index::of(&tree).find(Some(scope), None).map(|(_, ids)| ids[0].index());
        assert_eq!(["h.0.1", "h.0.experts.1", "model.h.0.experts.1"].map(of), [Ok(3), Ok(3), Ok(3)]);
        assert!(["0.1", "x.h.0.1", "m.h"].iter().all(|scope| of(scope).is_err()));
    }
}
