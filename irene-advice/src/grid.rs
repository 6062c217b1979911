use std::sync::LazyLock;

use irene_tree::similar;
use serde::{Deserialize, Serialize};

use crate::{Error, shipped};

static GRIDS: LazyLock<Vec<Grid>> = LazyLock::new(|| shipped(include_str!("../data/grids.json")));

/// The electricity of a country or of the world, by what its generation emits in a year over the whole life cycle.
///
/// ```
/// use irene_advice::Grid;
/// # fn main() -> Result<(), irene_advice::Error> {
/// assert!(Grid::find("norway")?.g_co2e_per_kwh < Grid::find("Poland")?.g_co2e_per_kwh);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The country, or `world`.
    pub name: String,
    /// Emissions, g CO2e a kWh.
    pub g_co2e_per_kwh: f64,
    /// The year that they are the mean of.
    pub year: u16,
    /// Who published the figure.
    pub source: String,
}

impl Grid {
    /// All that are known: the world, then countries by name.
    pub fn all() -> &'static [Self] {
        &GRIDS
    }

    /// The grid of this name, however it is capitalised.
    ///
    /// # Errors
    /// [`Error::UnknownGrid`] for a name that is unknown.
    pub fn find(name: &str) -> Result<&'static Self, Error> {
        let found = Self::all().iter().find(|grid| grid.name.eq_ignore_ascii_case(name.trim()));
        found.ok_or_else(|| {
            let names = Self::all().iter().map(|grid| grid.name.as_str());
            Error::UnknownGrid {
                name: name.to_owned(),
                similar: similar(name, names).into_iter().map(str::to_owned).collect(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grid_has_a_figure_of_a_year_and_a_source() {
        assert!(Grid::all().len() > 30 && Grid::all()[0].name == "world");
        for grid in Grid::all() {
            assert!((10.0..1000.0).contains(&grid.g_co2e_per_kwh), "{grid:?}");
            assert!((2020..2100).contains(&grid.year) && !grid.source.is_empty(), "{grid:?}");
            assert_eq!(Grid::find(&grid.name.to_uppercase()).unwrap(), grid);
        }
        let said = Grid::find("Germny").unwrap_err().to_string();
        assert!(said.contains("did you mean `Germany`?"), "{said}");
    }
}
