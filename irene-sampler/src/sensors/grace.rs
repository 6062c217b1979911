//! The power meters of NVIDIA's Grace processors: ACPI shows several, all named `power_meter`, and `power1_oem_info` tells them apart, such
//! as `Grace Power Socket 0` (NVIDIA Grace Performance Tuning Guide, Power Telemetry).

use std::path::Path;

use crate::{Channel, Reach, Resource};

use super::text_file::word;

const CHIP: &str = "power_meter";

/// Between the name of a part and the number of its socket, as labels have it.
const OF_SOCKET: &str = "-Power-Socket-";

/// How much of a socket a meter sees: each includes those after it, but for the last two, which lie side by side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Processor, GPU and the memory of both.
    Module,
    /// The processor with its memory.
    Grace,
    /// The rail of the cores, or that of the rest of the chip.
    Rail,
}

/// The part and the socket of a label.
fn part(label: &str) -> Option<(Part, u32)> {
    let (name, socket) = label.split_once(OF_SOCKET)?;
    let part = match name {
        "Module" => Part::Module,
        "Grace" => Part::Grace,
        "CPU" | "SysIO" => Part::Rail,
        _ => return None,
    };
    Some((part, socket.parse().ok()?))
}

/// The label of a meter, if it is one of a Grace processor. Other makers write anything there.
pub(super) fn label(dir: &Path, chip: &str, number: &str) -> Option<String> {
    let file = format!("{number}_oem_info");
    let told = || word(&dir.join(&file)).or_else(|| word(&dir.join("device").join(&file)));
    (chip == CHIP).then(told)?.filter(|label| part(label).is_some())
}

/// Sets how much of the computer each meter of a Grace processor sees.
pub(super) fn set_reaches(channels: &mut [Channel]) {
    // Two meters of one label have another chip's name each, and nothing tells which one is right.
    let part_of = |channel: &Channel| match &channel.id.resource {
        Resource::Board { chip, sensor } if chip == CHIP => part(sensor),
        _ => None,
    };
    let parts: Vec<(Option<(Part, u32)>, Resource)> =
        channels.iter().map(|channel| (part_of(channel), channel.id.resource.clone())).collect();
    for (channel, (own, _)) in channels.iter_mut().zip(&parts) {
        let Some((part, socket)) = *own else { continue };
        // The innermost of those around it.
        let around = parts.iter().filter_map(|(other, resource)| {
            let (other, of_socket) = (*other)?;
            (of_socket == socket && other < part).then_some((other, resource))
        });
        channel.reach = match (around.max_by_key(|(other, _)| *other), part) {
            (Some((_, outer)), _) => Reach::PartOf(outer.clone()),
            (None, Part::Module) => Reach::Module,
            (None, Part::Grace) => Reach::Processor,
            (None, Part::Rail) => Reach::Unknown,
        };
    }
}
