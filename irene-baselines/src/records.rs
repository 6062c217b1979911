use irene_explore::{Candidate, Error, Result};
use irene_numerics::moments;

/// Beyond this, squares and sums of differences could overflow.
const LARGEST: f64 = 1e100;

/// Checked training data: rows of coordinates, with a figure each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Records<'a> {
    pub(super) rows: &'a [Vec<f64>],
    pub(super) figures: &'a [f64],
}

impl<'a> Records<'a> {
    /// At least one record, as many figures, rows as wide as the first, and every number usable.
    pub(super) fn new(rows: &'a [Vec<f64>], figures: &'a [f64]) -> Result<Self> {
        let width = rows.first().ok_or_else(|| Error::Data("no records to learn from".into()))?.len();
        if rows.len() != figures.len() {
            return Err(Error::Data(format!("{} records with {} figures", rows.len(), figures.len())));
        }
        if width == 0 {
            return Err(Error::Data("the records have no coordinates".into()));
        }
        for (record, row) in rows.iter().enumerate() {
            if row.len() != width {
                let found = row.len();
                return Err(Error::Data(format!("record {record}: {found} coordinates where the first has {width}")));
            }
            check(&format!("record {record}: coordinate"), row)?;
        }
        check("figure", figures)?;
        Ok(Self { rows, figures })
    }

    /// Coordinates of a record.
    pub(super) fn width(self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }
}

/// Refuses a number that is not usable, and names its place.
pub(super) fn check(what: &str, numbers: &[f64]) -> Result<()> {
    match numbers.iter().position(|number| number.is_nan() || number.abs() > LARGEST) {
        None => Ok(()),
        Some(at) => {
            let reason = format!("{what} {at} is {}, must be finite and within ±{LARGEST:e}", numbers[at]);
            Err(Error::Data(reason))
        }
    }
}

/// The published embedding of each candidate.
pub(super) fn embeddings(candidates: &[&Candidate]) -> Vec<Vec<f64>> {
    candidates.iter().copied().map(Candidate::coordinates).collect()
}

/// Exactly `width` coordinates: missing ones are 0, as padding is, and further ones are left out.
pub(super) fn padded(coordinates: &[f64], width: usize) -> Vec<f64> {
    let mut padded: Vec<f64> = coordinates.iter().copied().take(width).collect();
    padded.resize(width, 0.0);
    padded
}

/// The centre and the scale of figures: mean and deviation. Equal figures have their size as scale.
pub(super) fn centre_and_scale(figures: &[f64]) -> (f64, f64) {
    let (mean, deviation) = moments(figures.iter().copied());
    let size = if mean == 0.0 { 1.0 } else { mean.abs() };
    (mean, if deviation > 1e-12 * size { deviation } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_records_are_refused_with_the_place() {
        let refused = |rows: &[Vec<f64>], figures: &[f64]| Records::new(rows, figures).unwrap_err().to_string();
        assert_eq!(refused(&[], &[]), "no records to learn from");
        assert_eq!(refused(&[vec![1.0]], &[]), "1 records with 0 figures");
        assert_eq!(refused(&[vec![]], &[1.0]), "the records have no coordinates");
        assert!(refused(&[vec![1.0], vec![]], &[1.0, 2.0]).starts_with("record 1: 0 coordinates"));
        assert!(refused(&[vec![0.0, f64::NAN]], &[1.0]).starts_with("record 0: coordinate 1 is NaN"));
        assert!(refused(&[vec![0.0]], &[f64::INFINITY]).starts_with("figure 0 is inf"));
        assert!(refused(&[vec![0.0]], &[1e300]).starts_with("figure 0 is 1"));
    }

    #[test]
    fn equal_figures_have_their_size_as_scale() {
        assert_eq!(centre_and_scale(&[5.0, 5.0]), (5.0, 5.0));
        assert_eq!(centre_and_scale(&[0.0]), (0.0, 1.0));
        assert_eq!(centre_and_scale(&[1.0, 3.0]), (2.0, 1.0));
    }

    #[test]
    fn short_coordinates_are_padded_and_long_ones_cut() {
        assert_eq!(padded(&[1.0], 2), [1.0, 0.0]);
        assert_eq!(padded(&[1.0, 2.0, 3.0], 2), [1.0, 2.0]);
    }
}
