//! The binary table `gpu_metrics` of amdgpu, as the kernel's drivers/gpu/drm/amd/include/kgd_pp_interface.h lays it out.
//!
//! A header has the table's size, and two revisions. A field that the card does not tell has all its bits set. Format 1 is that of graphics
//! cards, 2 and 3 that of processors with a GPU, of which 2.0 to 2.3 count power in W or mW by model, and are not read.

use std::path::Path;

use super::super::text_file::TextFile;

/// Room for the greatest table, and to see that one is greater.
const ROOM: usize = 4096;

/// Joules of 1 in the energy accumulator: 15.259 microjoules.
const ENERGY_UNIT: f64 = 1.0 / 65_536.0;

/// Where a table of one revision and size has its fields. Two kernels used 1.5 and 1.6 for tables of different sizes.
struct Layout {
    revision: (u8, u8),
    size: usize,
    watts: Watts,
    energy: Option<usize>,
    /// When the firmware wrote it, in units of 10 ns; None where no field tells.
    timestamp: Option<usize>,
    /// Whether the kernel's header gives the accumulator's unit, for all cards.
    has_unit: bool,
}

/// The field of the power: its place, its bytes, watts of 1, and whether it is of the moment.
struct Watts {
    place: usize,
    len: usize,
    unit: f64,
    is_moment: bool,
}

const MILLI: f64 = 1e-3;

/// A card whose power is a mean.
const fn mean(content: u8, size: usize, timestamp: Option<usize>) -> Layout {
    let watts = Watts { place: 22, len: 2, unit: 1.0, is_moment: false };
    Layout { revision: (1, content), size, watts, energy: Some(24), timestamp, has_unit: false }
}

/// A card whose power is of the moment.
const fn moment(content: u8, size: usize, energy: usize, timestamp: usize) -> Layout {
    let watts = Watts { place: 10, len: 2, unit: 1.0, is_moment: true };
    Layout { revision: (1, content), size, watts, energy: Some(energy), timestamp: Some(timestamp), has_unit: true }
}

/// A processor with a GPU; milliwatts.
const fn apu(revision: (u8, u8), size: usize, place: usize, len: usize) -> Layout {
    let watts = Watts { place, len, unit: MILLI, is_moment: false };
    Layout { revision, size, watts, energy: None, timestamp: None, has_unit: false }
}

const LAYOUTS: [Layout; 12] = [
    mean(1, 96, None),
    mean(2, 104, Some(96)),
    mean(3, 120, Some(96)),
    moment(4, 288, 24, 232),
    moment(5, 328, 56, 272),
    moment(5, 360, 88, 304),
    moment(6, 384, 88, 328),
    moment(6, 1664, 16, 256),
    moment(7, 2208, 24, 288),
    moment(8, 3360, 24, 288),
    apu((2, 4), 168, 40, 2),
    apu((3, 0), 264, 120, 4),
];

/// The figures of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Metrics {
    pub(super) watts: Option<f64>,
    /// Whether the watts are those of the moment.
    pub(super) is_moment: bool,
    /// The accumulated energy, as far as its unit is known.
    pub(super) joules: Option<f64>,
    timestamp: Option<u64>,
}

/// Whether a table is that of a processor with a GPU.
pub(super) fn is_apu(table: &[u8]) -> bool {
    matches!(table.get(2), Some(2 | 3))
}

/// The fields of a whole table of a known layout. The cards of the MI200 series have the unit of energy of later revisions.
fn parse(table: &[u8], is_mi200: bool) -> Option<Metrics> {
    let size = usize::from(u16::from_le_bytes([*table.first()?, *table.get(1)?]));
    let revision = (*table.get(2)?, *table.get(3)?);
    let layout = LAYOUTS.iter().find(|layout| layout.revision == revision && layout.size == size)?;
    if table.len() != size {
        return None;
    }
    let Watts { place, len, unit, is_moment } = layout.watts;
    let energy = layout.energy.and_then(|place| field(table, place, 8)).map(|count| count as f64 * ENERGY_UNIT);
    Some(Metrics {
        watts: field(table, place, len).map(|number| number as f64 * unit),
        is_moment,
        joules: energy.filter(|_| layout.has_unit || is_mi200),
        timestamp: layout.timestamp.and_then(|place| field(table, place, 8)).filter(|&time| time > 0),
    })
}

/// A number of so many bytes; None if all its bits are set.
fn field(table: &[u8], place: usize, len: usize) -> Option<u64> {
    let bytes = table.get(place..place + len)?;
    let mut number = [0; 8];
    number[..len].copy_from_slice(bytes);
    bytes.iter().any(|byte| *byte != u8::MAX).then_some(u64::from_le_bytes(number))
}

/// The table's file.
pub(super) struct MetricsFile {
    file: TextFile,
    /// Whether the card counts in the unit of the MI200 series, in a revision that does not tell.
    is_mi200: bool,
    /// When the newest table was written, and the one before it that was asked about.
    written: Option<u64>,
    asked: Option<u64>,
}

impl MetricsFile {
    pub(super) fn open(path: &Path, is_mi200: bool) -> std::io::Result<Self> {
        Ok(Self { file: TextFile::open(path, ROOM)?, is_mi200, written: None, asked: None })
    }

    /// The bytes of the table.
    pub(super) fn bytes(&mut self) -> Option<&[u8]> {
        self.file.bytes().ok()
    }

    pub(super) fn read(&mut self) -> Option<Metrics> {
        let metrics = parse(self.file.bytes().ok()?, self.is_mi200)?;
        self.written = metrics.timestamp;
        Some(metrics)
    }

    /// Whether the table that was read last is another one than at the last question. One that does not tell its time is taken as new.
    pub(super) fn is_new(&mut self) -> bool {
        let asked = std::mem::replace(&mut self.asked, self.written);
        self.written.is_none() || self.written != asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a table in their order, as (name, bytes of an element, elements), up to the last one that is read and the size.
    fn offsets(fields: &[(&str, usize, usize)], wanted: &[&str]) -> (Vec<usize>, usize) {
        let mut place: usize = 4;
        let mut found = Vec::new();
        for (name, len, count) in fields {
            place = place.next_multiple_of(*len);
            if wanted.contains(name) {
                found.push(place);
            }
            place += len * count;
        }
        (found, place.next_multiple_of(8))
    }

    const WANTED: [&str; 3] = ["socket_power", "energy", "firmware_timestamp"];

    /// gpu_metrics_v1_1 to 1_3.
    #[rustfmt::skip]
    const MEAN: [(&str, usize, usize); 19] = [
        ("temperatures", 2, 6), ("activities", 2, 3), ("socket_power", 2, 1), ("energy", 8, 1), ("system_clock", 8, 1),
        ("average_clocks", 2, 7), ("current_clocks", 2, 7), ("throttle", 4, 1), ("fan", 2, 1), ("link_width", 2, 1),
        ("link_speed", 2, 1), ("padding", 2, 1), ("gfx_activity_acc", 4, 1), ("mem_activity_acc", 4, 1),
        ("temperature_hbm", 2, 4), ("firmware_timestamp", 8, 1), ("voltages", 2, 3), ("padding1", 2, 1),
        ("indep_throttle", 8, 1),
    ];

    #[test]
    fn the_places_of_1_3_and_before_follow_from_the_alignment_of_c() {
        for (content, fields) in [(1, 15), (2, 16), (3, 19)] {
            let (found, size) = offsets(&MEAN[..fields], &WANTED);
            let layout = LAYOUTS.iter().find(|layout| layout.revision == (1, content)).unwrap();
            let expected: Vec<usize> =
                [layout.watts.place].into_iter().chain(layout.energy).chain(layout.timestamp).collect();
            assert_eq!((found, size), (expected, layout.size), "1.{content}");
        }
    }

    /// gpu_metrics_v1_4 and later: what differs stands before and after the energy, and behind the timestamp.
    #[rustfmt::skip]
    fn moments(head: &[(&'static str, usize, usize)], status: &[(&'static str, usize, usize)], naks: usize, links: usize, tail: &[(&'static str, usize, usize)])
        -> Vec<(&'static str, usize, usize)> {
        [
            &[("temperatures", 2, 3), ("socket_power", 2, 1), ("activities", 2, 2)], head, &[("energy", 8, 1), ("system_clock", 8, 1)],
            status, &[("links", 2, 4), ("activity_acc", 4, 2), ("pcie", 8, 5), ("naks", 4, naks), ("xgmi", 8, 16), ("link_status", 2, links),
            ("firmware_timestamp", 8, 1), ("gfxclk", 2, 8), ("clocks", 2, 12), ("uclk", 2, 1), ("padding", 2, 1)], tail,
        ].concat()
    }

    #[test]
    fn the_places_of_1_4_and_later_follow_from_the_alignment_of_c() {
        let locks: &[(&str, usize, usize)] = &[("throttle", 4, 1), ("lock", 4, 1)];
        let residencies: &[(&str, usize, usize)] = &[("counter", 4, 1), ("residencies", 4, 5), ("lock", 4, 1)];
        let both: &[(&str, usize, usize)] =
            &[("counter", 4, 1), ("residencies", 4, 5), ("throttle", 4, 1), ("lock", 4, 1)];
        let partitions = |words: usize| [("xcp", 8, 8 * words), ("recovery", 4, 1)];
        let tables = [
            (4, moments(&[("vcn", 2, 4)], locks, 0, 0, &[])),
            (5, moments(&[("vcn", 2, 4), ("jpeg", 2, 16)], locks, 2, 0, &[])),
            (5, moments(&[("vcn", 2, 4), ("jpeg", 2, 32)], locks, 2, 0, &[])),
            (6, moments(&[("vcn", 2, 4), ("jpeg", 2, 32)], both, 2, 0, &[])),
            (6, moments(&[], residencies, 2, 0, &partitions(21))),
            (7, moments(&[("bandwidth", 8, 1)], residencies, 2, 9, &partitions(29))),
            (8, moments(&[("bandwidth", 8, 1)], residencies, 2, 9, &partitions(47))),
        ];
        let known = LAYOUTS.iter().filter(|layout| layout.has_unit);
        for (layout, (content, fields)) in known.zip(tables) {
            let (found, size) = offsets(&fields, &WANTED);
            let expected = vec![layout.watts.place, layout.energy.unwrap(), layout.timestamp.unwrap()];
            assert_eq!(((1, content), found, size), (layout.revision, expected, layout.size), "1.{content}");
        }
    }

    /// gpu_metrics_v2_4 and v3_0, with the power of the socket and of the processor with its GPU.
    #[rustfmt::skip]
    const APUS: [&[(&str, usize, usize)]; 2] = [
        &[("temperatures", 2, 12), ("activities", 2, 2), ("system_clock", 8, 1), ("socket_power", 2, 1), ("powers", 2, 11),
          ("average_clocks", 2, 6), ("clocks", 2, 6), ("core_clocks", 2, 10), ("throttle", 4, 1), ("fan", 2, 1), ("padding", 2, 3),
          ("indep_throttle", 8, 1), ("average_temperatures", 2, 12), ("voltages", 2, 3), ("currents", 2, 3)],
        &[("temperatures", 2, 19), ("activities", 2, 26), ("traffic", 2, 4), ("system_clock", 8, 1), ("all_power", 4, 1), ("ipu_power", 2, 1),
          ("socket_power", 4, 1), ("powers", 4, 3), ("core_powers", 2, 16), ("sys_power", 2, 1), ("stapm", 2, 2), ("average_clocks", 2, 8),
          ("core_clocks", 2, 16), ("limits", 2, 2), ("throttle", 4, 7), ("alpha", 4, 1)],
    ];

    #[test]
    fn the_places_of_processors_with_a_gpu_follow_from_the_alignment_of_c() {
        for (fields, revision) in APUS.iter().zip([(2, 4), (3, 0)]) {
            let layout = LAYOUTS.iter().find(|layout| layout.revision == revision).unwrap();
            assert_eq!(offsets(fields, &WANTED), (vec![layout.watts.place], layout.size), "{revision:?}");
        }
        let milliwatts = table(3, 0, 264, &[(112, &[0xff; 4]), (120, &28_500_u32.to_le_bytes())]);
        assert_eq!(parse(&milliwatts, false).unwrap().watts, Some(28.5));
        assert_eq!(parse(&table(2, 3, 152, &[(40, &[28, 0])]), false), None, "its unit is not known");
    }

    /// A table with these numbers at these places.
    fn table(format: u8, content: u8, size: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut table = vec![0; size];
        table[..2].copy_from_slice(&u16::try_from(size).unwrap().to_le_bytes());
        table[2..4].copy_from_slice(&[format, content]);
        for (place, bytes) in fields {
            table[*place..*place + bytes.len()].copy_from_slice(bytes);
        }
        table
    }

    #[test]
    fn all_ones_is_absent_and_half_a_table_is_none() {
        let whole = table(1, 4, 288, &[(10, &[0x2c, 0x01]), (24, &65_536_000_u64.to_le_bytes())]);
        let metrics = parse(&whole, false).unwrap();
        assert_eq!((metrics.watts, metrics.joules, metrics.is_moment), (Some(300.0), Some(1000.0), true));
        let ones = table(1, 4, 288, &[(10, &[0xff; 2]), (24, &[0xff; 8])]);
        let metrics = parse(&ones, false).unwrap();
        assert_eq!((metrics.watts, metrics.joules), (None, None));
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len], false), None, "{len} bytes");
        }
        assert_eq!(parse(&table(1, 9, 288, &[]), false), None, "a revision that is not known");
        assert_eq!(parse(&table(1, 4, 280, &[]), false), None, "a size that is not known");
        assert_eq!(parse(&table(2, 4, 288, &[]), false), None, "a processor's size is another one");
    }

    #[test]
    fn the_energy_of_1_3_has_a_unit_on_the_mi200_alone() {
        let table = table(1, 3, 120, &[(24, &65_536_u64.to_le_bytes())]);
        assert_eq!([false, true].map(|is_mi200| parse(&table, is_mi200).unwrap().joules), [None, Some(1.0)]);
    }
}
