use irene_numerics::dominates;

use super::{
    outcome::Solution,
    pareto::{covers, lexicographic},
    thinning::spread_out,
};

/// The best compromises met so far, the first of each with equal costs.
pub(super) struct Archive<G> {
    members: Vec<Solution<G>>,
    capacity: usize,
}

impl<G> Archive<G> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { members: Vec::new(), capacity }
    }

    pub(super) fn members(&self) -> &[Solution<G>] {
        &self.members
    }

    /// Whether a design with these costs would enter.
    pub(super) fn takes(&mut self, costs: &[f64]) -> bool {
        match self.members.iter().position(|member| covers(&member.costs, costs)) {
            Some(i) => {
                // The member that turns one design away is likely to turn away the next.
                self.members.swap(0, i);
                false
            }
            None => true,
        }
    }

    /// A design that [`takes`](Self::takes) let in.
    pub(super) fn insert(&mut self, found: Solution<G>) {
        self.members.retain(|member| !dominates(&found.costs, &member.costs));
        self.members.push(found);
        // Thinned in lots, as it takes all distances.
        if self.members.len() > self.capacity + self.capacity / 4 {
            self.thin();
        }
    }

    fn thin(&mut self) {
        if self.members.len() <= self.capacity {
            return;
        }
        let costs: Vec<_> = self.members.iter().map(|member| member.costs.as_slice()).collect();
        let mut kept = spread_out(&costs, self.capacity).into_iter().peekable();
        let mut place = 0..;
        self.members.retain(|_| kept.next_if_eq(&place.next().unwrap_or_default()).is_some());
    }

    /// Thins to the capacity and sorts by costs.
    pub(super) fn settle(&mut self) {
        self.thin();
        self.members.sort_by(|a, b| lexicographic(&a.costs, &b.costs));
    }

    pub(super) fn into_members(self) -> Vec<Solution<G>> {
        self.members
    }
}
