use std::{
    array::from_fn,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::{Index, IndexMut},
};

use irene_tree::{NodeId, Tree};

use super::WIDER;
use crate::{
    Result, Store,
    physics::{keys, kind},
};

/// The kind of a part whose energy is predicted at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A primitive.
    #[default]
    Leaf,
    /// The operations that a module runs itself.
    Own,
    /// A module or model that is predicted as a whole.
    Whole,
}

/// How far off the predicted energy of a part may be, before it is tried on held-out trees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Uncertainty {
    pub(crate) kind: Kind,
    /// Parts of one [`group`] are off alike.
    pub(crate) group: u64,
    /// A guess of the deviation, e-folds.
    pub(crate) deviation: f64,
    /// Whether a part like it was measured in the training data.
    pub(crate) is_seen: bool,
    /// How far outside the training range, e-folds: the logarithm of the greatest factor; 0 inside.
    pub(crate) distance: f64,
    /// The least reach of its interval, e-folds.
    pub(crate) least_reach: f64,
}

/// The group of the parts that have this in common.
pub(crate) fn group(common: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    common.hash(&mut hasher);
    hasher.finish()
}

impl Uncertainty {
    pub(super) fn standing(&self) -> usize {
        match () {
            () if self.distance > 0.0 => OUTSIDE,
            () if self.is_seen => SEEN,
            () => NEW,
        }
    }
}

/// The deviation, in e-folds, that a shape which was measured in training stays below: twice the spread of repeated measurements.
pub(crate) const SEEN_DEVIATION: f64 = 0.0142;

/// How a part stands to the training data.
const SEEN: usize = 0;
const NEW: usize = 1;
const OUTSIDE: usize = 2;
pub(super) const STANDINGS: [usize; 3] = [SEEN, NEW, OUTSIDE];

/// The reach of a part, e-folds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// Inside the training range.
    pub(crate) within: f64,
    /// The part on top.
    pub(crate) beyond: f64,
}

impl Part {
    fn or_wider(self, other: Self) -> Self {
        let within = self.within.max(other.within);
        let whole = (self.within + self.beyond).max(other.within + other.beyond);
        Self { within, beyond: whole - within }
    }
}

/// The reach of an interval, in e-folds: a multiple of a power of the guessed deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reach {
    pub(crate) multiple: f64,
    pub(crate) power: f64,
}

/// The farthest that own parts reach, e-folds: beyond a factor of 20 an interval says nothing.
pub(super) const MOST: f64 = 3.0;

/// Distances beyond a factor of a thousand count as that.
const FARTHEST: f64 = 6.9;

impl Reach {
    /// Outside the training range it grows with the root of the logarithm of the factor.
    pub(crate) fn of(self, uncertainty: &Uncertainty) -> f64 {
        let growth = (1.0 + uncertainty.distance.min(FARTHEST)).sqrt();
        self.multiple * uncertainty.deviation.powf(self.power) * growth
    }

    fn times(self, factor: f64) -> Self {
        Self { multiple: factor * self.multiple, ..self }
    }
}

/// A value for each kind of part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ByKind<T>([T; 3]);

impl<T> Index<Kind> for ByKind<T> {
    type Output = T;

    fn index(&self, kind: Kind) -> &T {
        &self.0[kind as usize]
    }
}

impl<T> IndexMut<Kind> for ByKind<T> {
    fn index_mut(&mut self, kind: Kind) -> &mut T {
        &mut self.0[kind as usize]
    }
}

impl<T> ByKind<T> {
    /// The values of both, put together kind by kind.
    fn with(&self, other: &Self, of: impl Fn(&T, &T) -> T) -> Self {
        Self(from_fn(|kind| of(&self.0[kind], &other.0[kind])))
    }
}

/// The reaches of one kind of part: seen in training, inside the range, outside; None if no node like it was held out.
pub(crate) type Standings = [Option<Reach>; 3];

/// The reaches of parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reaches {
    pub(super) by_kind: ByKind<Standings>,
    /// Those of primitives by their class, where it was held out often enough. A class that is predicted worse than most reaches farther than
    /// all primitives together, and none less far: then what lies above them, which is calibrated next, would need wider intervals.
    by_class: BTreeMap<String, Standings>,
}

/// The classes that a primitive is known by: its kind, whatever its format and what its kernel does besides.
pub(super) fn classes(tree: &Tree, id: NodeId) -> impl Iterator<Item = String> {
    keys(tree, id).map(|key| kind(&key).to_owned())
}

/// How much farther parts reach in a tree of a family that was not in the training data, e-folds; None if no family was held out.
pub(crate) type Growths = ByKind<Option<f64>>;

/// The lists of a predictor file.
const NAMES: [(&str, Kind); 3] =
    [("interval.leaf", Kind::Leaf), ("interval.own", Kind::Own), ("interval.whole", Kind::Whole)];

/// The field of the header with the classes that have reaches of their own.
const CLASSES: &str = "interval.classes";

/// The list of a class.
fn list_of(class: &str) -> String {
    format!("interval.class.{class}")
}

fn write(name: &str, reaches: &Standings, store: &mut Store) {
    if let [Some(seen), Some(new), Some(outside)] = *reaches {
        let numbers = [seen, new, outside].map(|reach| [reach.multiple, reach.power]);
        store.put(name, numbers.as_flattened());
    }
}

fn read(name: &str, store: &Store) -> Result<Standings> {
    let numbers: [f64; 6] = store.take_coefficients(name)?;
    Ok(from_fn(|place| Some(Reach { multiple: numbers[2 * place], power: numbers[2 * place + 1] })))
}

/// The reach of a part. A part of which the training data tells less never reaches less far.
fn part(reaches: &Standings, uncertainty: &Uncertainty) -> Option<Part> {
    let standing = uncertainty.standing();
    let inside = Uncertainty { distance: 0.0, ..*uncertainty };
    // The reach of parts that were seen was learned at small deviations alone, and says nothing of greater ones.
    let of_seen = if uncertainty.kind == Kind::Leaf { SEEN_DEVIATION } else { f64::INFINITY };
    let of = |standing: usize, uncertainty: &Uncertainty| {
        let most = if standing == SEEN { of_seen } else { f64::INFINITY };
        let deviation = uncertainty.deviation.min(most);
        Some(reaches[standing]?.of(&Uncertainty { deviation, ..*uncertainty }))
    };
    let up_to = |last: usize, uncertainty: &Uncertainty| {
        (0..=last).filter_map(|standing| of(standing, uncertainty)).fold(0.0, f64::max)
    };
    if reaches[..=standing].iter().all(Option::is_none) {
        return None;
    }
    let within = up_to(standing.min(NEW), &inside);
    let whole = up_to(standing, uncertainty).max(uncertainty.least_reach);
    Some(Part { within, beyond: (whole - within).max(0.0) })
}

impl Reaches {
    /// The reach of a node's part.
    pub(crate) fn part(&self, tree: &Tree, id: NodeId, uncertainty: &Uncertainty) -> Option<Part> {
        let of_class = || classes(tree, id).find_map(|class| self.by_class.get(&class));
        let of_class = if uncertainty.kind == Kind::Leaf { of_class() } else { None };
        let of_all = part(&self.by_kind[uncertainty.kind], uncertainty)?;
        Some(of_class.and_then(|class| part(class, uncertainty)).map_or(of_all, |class| of_all.or_wider(class)))
    }

    /// The wider of both where both have one.
    pub(crate) fn or_wider(&self, other: &Self) -> Self {
        let typical = Uncertainty { deviation: SEEN_DEVIATION, ..Uncertainty::default() };
        let wider = |a: Option<Reach>, b: Option<Reach>| match (a, b) {
            (Some(a), Some(b)) => Some(if a.of(&typical) >= b.of(&typical) { a } else { b }),
            (a, b) => a.or(b),
        };
        let both = |a: &Standings, b: &Standings| from_fn(|standing| wider(a[standing], b[standing]));
        let mut by_class = self.by_class.clone();
        for (class, reaches) in &other.by_class {
            by_class.entry(class.clone()).and_modify(|known| *known = both(known, reaches)).or_insert(*reaches);
        }
        Self { by_kind: self.by_kind.with(&other.by_kind, both), by_class }
    }

    pub(crate) fn times(&self, factor: f64) -> Self {
        let times = |reaches: Standings| reaches.map(|reach| Some(reach?.times(factor)));
        let by_class = self.by_class.iter().map(|(class, reaches)| (class.clone(), times(*reaches)));
        Self { by_kind: ByKind(self.by_kind.0.map(times)), by_class: by_class.collect() }
    }

    /// Sets the reaches of a class of primitives; where it has none, those of all primitives are its own.
    pub(super) fn set_class(&mut self, class: String, reaches: Standings) {
        let of_all = self.by_kind[Kind::Leaf];
        self.by_class.insert(class, from_fn(|standing| reaches[standing].or(of_all[standing])));
    }

    pub(crate) fn write(&self, store: &mut Store) {
        for (name, kind) in NAMES {
            write(name, &self.by_kind[kind], store);
        }
        if !self.by_class.is_empty() {
            store.set_list(CLASSES, self.by_class.keys());
        }
        for (class, reaches) in &self.by_class {
            write(&list_of(class), reaches, store);
        }
    }

    pub(crate) fn read(store: &Store) -> Result<Self> {
        let mut reaches = Self::default();
        for (name, kind) in NAMES.into_iter().filter(|(name, _)| store.has(name)) {
            reaches.by_kind[kind] = read(name, store)?;
        }
        for class in store.get_list_if_any(CLASSES)? {
            let of_class = read(&list_of(&class), store)?;
            reaches.by_class.insert(class, of_class);
        }
        Ok(reaches)
    }

    /// Reads the reaches of an older file: by level, inside and outside the training range.
    pub(crate) fn read_by_level(store: &Store) -> Result<Option<Self>> {
        let level = |name: &str| -> Result<Option<Standings>> {
            let name = format!("interval.{name}");
            if !store.has(&name) {
                return Ok(None);
            }
            let [inside, inside_power, outside, outside_power] = store.take_coefficients(&name)?;
            let inside = Some(Reach { multiple: inside, power: inside_power });
            Ok(Some([inside, inside, Some(Reach { multiple: outside, power: outside_power })]))
        };
        let mut reaches = Self::default();
        for (name, kind) in [("ml", Kind::Leaf), ("math", Kind::Own), ("module", Kind::Whole)] {
            if let Some(standings) = level(name)? {
                reaches.by_kind[kind] = standings;
            }
        }
        // Models as wholes reach as far as modules at least.
        if let Some(models) = level("model")? {
            let mut wholes = Self::default();
            wholes.by_kind[Kind::Whole] = models;
            reaches = reaches.or_wider(&wholes);
        }
        Ok((reaches != Self::default()).then_some(reaches))
    }
}

impl Growths {
    /// The greater of both where both have one.
    pub(crate) fn or_wider(&self, other: &Self) -> Self {
        self.with(other, |a, b| match (*a, *b) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        })
    }

    pub(crate) fn times(&self, factor: f64) -> Self {
        Self(self.0.map(|more| Some(factor * more?)))
    }

    pub(crate) fn write(&self, store: &mut Store) {
        for (name, kind) in NAMES {
            if let Some(more) = self[kind] {
                store.put(&format!("{name}.stranger"), &[more]);
            }
        }
    }

    pub(crate) fn read(store: &Store) -> Result<Self> {
        let mut growths = Self::default();
        for (name, kind) in NAMES {
            let name = format!("{name}.stranger");
            if store.has(&name) {
                let [more] = store.take_coefficients(&name)?;
                growths[kind] = Some(more);
            }
        }
        Ok(growths)
    }
}

/// Reaches that were not calibrated follow from those that were.
pub(crate) fn filled([seen, new, outside]: Standings) -> Standings {
    let wider = |reach: Option<Reach>| reach.map(|reach| reach.times(WIDER));
    let seen_or_new = seen.or(new).or(outside);
    // Small deviations say nothing of greater ones.
    let at_most = |seen: Reach| seen.of(&Uncertainty { deviation: SEEN_DEVIATION, ..Uncertainty::default() });
    let of_seen = || Some(Reach { multiple: WIDER * at_most(seen?), power: 0.0 });
    let new = new.or(outside).or_else(of_seen);
    [seen_or_new, new, outside.or_else(|| wider(new))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_of_shapes_that_were_seen_says_nothing_of_far_ones() {
        let (seen, new) = (Reach { multiple: 7.5, power: 1.0 }, Reach { multiple: 0.1, power: 0.0 });
        let reaches = [Some(seen), Some(new), Some(new)];
        let reach = |deviation: f64, is_seen: bool| {
            part(&reaches, &Uncertainty { deviation, is_seen, ..Uncertainty::default() }).unwrap().within
        };
        assert!((reach(0.01, true) - 0.075).abs() < 1e-12);
        // As far as the widest that was seen, at least; not 1.5 e-folds.
        assert!((reach(0.2, false) - 7.5 * SEEN_DEVIATION).abs() < 1e-12);
    }
}
