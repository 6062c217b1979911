//! A profile carried over to a machine that is made up from IrEne's measurements: other launches, speeds and powers, and each
//! primitive a little different from the rest.

use std::collections::HashMap;

use irene_regress::{DeviceProfile, Evaluation, Track};
use irene_tree::{Level, Quantity, Tree};

/// Another machine, as factors on the first.
struct Machine {
    launch: f64,
    /// Time of everything that is not a launch.
    work: f64,
    /// Power while nothing is computed.
    idle: f64,
    /// Energy of what is computed and moved.
    dynamic: f64,
    /// Energy and time of the modules' own parts.
    own: f64,
    /// How much primitives differ from the machine, at most, in e-folds.
    uneven: f64,
}

/// Watts that the first machine draws whatever it does, about.
const IDLE_WATTS: f64 = 100.0;

impl Machine {
    /// Trees as they would have been measured there.
    fn measure(&self, trees: &[Tree]) -> Vec<Tree> {
        let mut launches: HashMap<String, f64> = HashMap::new();
        let kind = |tree: &Tree, id| tree.node(id).instance_type().to_ascii_lowercase();
        for tree in trees {
            for id in tree.ids().filter(|&id| tree.is_leaf(id)) {
                let least = launches.entry(kind(tree, id)).or_insert(f64::INFINITY);
                *least = least.min(0.98 * tree.node(id).get(Quantity::Latency).unwrap());
            }
        }
        let mut names: Vec<&String> = launches.keys().collect();
        names.sort();
        let uneven = |name: &str, salt: usize| {
            // The same library multiplies for both.
            let name = if name == "conv1d" { "linear" } else { name };
            let place = names.iter().position(|known| *known == name).unwrap();
            (self.uneven * (((place * 7 + salt * 3) % 5) as f64 / 2.0 - 1.0)).exp()
        };
        trees
            .iter()
            .cloned()
            .map(|mut tree| {
                let measured = tree.clone();
                for id in tree.ids().rev() {
                    let get = |quantity| measured.node(id).get(quantity).unwrap();
                    let [time, energy] = if tree.is_leaf(id) {
                        let name = kind(&tree, id);
                        let (launch, time) = (launches[&name], get(Quantity::Latency));
                        let work = (time.powi(4) - launch.powi(4)).powf(0.25);
                        let (launch, work) =
                            (launch * self.launch * uneven(&name, 0), work * self.work * uneven(&name, 1));
                        let dynamic = (get(Quantity::GroundTruthEnergy) - IDLE_WATTS * time).max(0.0);
                        let time = (launch.powi(4) + work.powi(4)).powf(0.25);
                        [time, IDLE_WATTS * self.idle * time + self.dynamic * uneven(&name, 2) * dynamic]
                    } else {
                        [Quantity::Latency, Quantity::GroundTruthEnergy].map(|quantity| {
                            let children: f64 =
                                tree.children(id).map(|child| tree.node(child).get(quantity).unwrap()).sum();
                            (children + self.own * measured.own(id, quantity).unwrap()).max(0.9 * children)
                        })
                    };
                    let node = tree.node_mut(id);
                    node.set(Quantity::Latency, time);
                    node.set(Quantity::GroundTruthEnergy, energy);
                    node.set(Quantity::GpuEnergy, 0.95 * (energy - 0.6 * IDLE_WATTS * self.idle * time).max(0.0));
                }
                tree
            })
            .collect()
    }
}

const MACHINES: [(&str, Machine); 3] = [
    ("twice the launch", Machine { launch: 2.0, work: 1.0, idle: 1.0, dynamic: 1.0, own: 1.5, uneven: 0.0 }),
    ("half the time", Machine { launch: 0.9, work: 0.5, idle: 0.7, dynamic: 0.6, own: 0.7, uneven: 0.1 }),
    ("thrice the time", Machine { launch: 1.3, work: 3.0, idle: 0.4, dynamic: 0.5, own: 2.0, uneven: 0.3 }),
];

fn errors(profile: &DeviceProfile, trees: &[Tree]) -> (Evaluation, [f64; 3]) {
    let mut evaluation = Evaluation::default();
    for tree in trees {
        let mut tree = tree.clone();
        profile.predict(&mut tree).unwrap();
        evaluation.add(&tree).unwrap();
    }
    let means = [Level::Ml, Level::Module, Level::Model].map(|level| evaluation.mean(level).unwrap());
    (evaluation, means)
}

/// The mean errors of the trees that were not chosen, over some choices of so many; from the shipped profile, and trained anew.
fn with_few(there: &[Tree], count: usize) -> [[f64; 3]; 2] {
    const CHOICES: usize = 3;
    let here = DeviceProfile::bundled("gtx-1070").unwrap();
    let mut sums = [[0.0; 3]; 2];
    for choice in 0..CHOICES {
        let is_chosen = |place: usize| (0..count).any(|i| (choice * 37 + i * 61) % there.len() == place);
        let of = |chosen: bool| -> Vec<Tree> {
            there
                .iter()
                .enumerate()
                .filter(|(place, _)| is_chosen(*place) == chosen)
                .map(|(_, tree)| tree.clone())
                .collect()
        };
        let (few, rest) = (of(true), of(false));
        let carried = here.calibrated(&few, "there").unwrap();
        let anew = crate::made_up::trained_on(&few, &Track::Specs);
        for (sums, profile) in sums.iter_mut().zip([&carried, &anew]) {
            for (sum, error) in sums.iter_mut().zip(errors(profile, &rest).1) {
                *sum += error / CHOICES as f64;
            }
        }
    }
    sums
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn a_few_trees_make_a_shipped_profile_that_of_another_machine() {
    let trees = crate::public::trees("device_1");
    for (name, machine) in MACHINES {
        let there = machine.measure(&trees);
        let shipped = errors(&DeviceProfile::bundled("gtx-1070").unwrap(), &there).1;
        println!("{name}: as shipped {shipped:.1?}");
        for (count, most) in [(2, [5.0, 6.0, 5.0]), (10, [3.0, 5.0, 4.0])] {
            let [carried, anew] = with_few(&there, count);
            println!("  {count} trees: carried over {carried:.1?}, trained anew {anew:.1?}");
            for level in 0..3 {
                assert!(carried[level] < most[level], "{name}, {count} trees: {carried:.2?}");
                assert!(carried[level] <= anew[level] + 0.3, "{name}, {count} trees: {carried:.2?} {anew:.2?}");
            }
        }
    }
}
