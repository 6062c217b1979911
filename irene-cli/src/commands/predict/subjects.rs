//! The trees or models that are predicted by a profile.

use std::path::Path;

use anyhow::{Result, ensure};
use irene_models::{ModelSpec, Run};
use irene_tree::{Size, Tree};

use super::Args;
use crate::{
    commands::{following, predictor::NamedProfile, refuse, trees::Completion, usage},
    input,
};

/// Whether the arguments are files of trees, not models.
pub(super) fn are_trees(args: &Args) -> Result<bool> {
    let holds: Vec<bool> =
        args.subjects.iter().map(|subject| input::holds_trees(Path::new(subject))).collect::<Result<_>>()?;
    match holds.iter().position(|&holds| holds) {
        Some(at) if holds.contains(&false) => {
            usage(format!("{} has trees, which have their sizes; predict models apart", args.subjects[at]))
        }
        found => Ok(found.is_some()),
    }
}

pub(super) enum Subjects<'a> {
    /// Files.
    Trees(&'a [String]),
    /// Each with its runs.
    Models(Vec<(ModelSpec, Vec<Run>)>),
}

impl<'a> Subjects<'a> {
    pub(super) fn trees(args: &'a Args) -> Result<Self> {
        let of_models = [
            &args.setting.sizes.flags()[..],
            &args.setting.run.flags(),
            &args.setting.parallel.flags(),
            &[("--math", args.output.math)],
            &args.text_flags(),
        ];
        refuse(true, "a model; trees have their sizes", &of_models.concat())?;
        Ok(Self::Trees(&args.subjects))
    }

    pub(super) fn models(args: &Args) -> Result<Self> {
        let of = |name: &String| {
            let spec = following::model(name)?;
            let runs = runs(args, &spec)?;
            Ok((spec, runs))
        };
        Ok(Self::Models(args.subjects.iter().map(of).collect::<Result<_>>()?))
    }
}

/// How a model is followed: at the given sizes, or at the size of the texts.
fn runs(args: &Args, spec: &ModelSpec) -> Result<Vec<Run>> {
    const OR_TEXT: &str = if cfg!(feature = "text") { ", or --text" } else { "" };
    #[cfg(feature = "text")]
    if args.has_text() {
        let encoded = args.text.encode(spec, args.tokenizer.as_deref())?;
        return Ok(vec![Run { is_padded: encoded.mask.is_some(), ..run_at(args, spec, encoded.size)? }]);
    }
    #[cfg(feature = "text")]
    refuse(args.tokenizer.is_some(), "--text and --text-file", &[("--tokenizer", true)])?;
    args.setting
        .sizes
        .sizes(args.setting.run.pass.past(), OR_TEXT)?
        .into_iter()
        .map(|size| run_at(args, spec, size))
        .collect()
}

fn run_at(args: &Args, spec: &ModelSpec, size: Size) -> Result<Run> {
    Ok(Run { parallel: args.setting.parallel.parallel(), ..args.setting.run.run(spec, size, args.output.math)? })
}

/// The trees or models that are predicted, and the predictor.
pub(super) struct Subject<'a> {
    pub(super) predictor: &'a NamedProfile,
    pub(super) subjects: Subjects<'a>,
}

impl Subject<'_> {
    /// Predicts one tree after another.
    pub(super) fn each(&self, take: &mut dyn FnMut(Tree) -> Result<()>) -> Result<()> {
        match &self.subjects {
            Subjects::Trees(paths) => paths.iter().try_for_each(|path| self.each_of_file(Path::new(path), take)),
            Subjects::Models(models) => models.iter().try_for_each(|(spec, runs)| {
                runs.iter().try_for_each(|run| take(self.predictor.predicted(spec, *run)?))?;
                runs.first().map_or(Ok(()), |run| following::tell_what_is_left_out(spec, *run))
            }),
        }
    }

    fn each_of_file(&self, path: &Path, take: &mut dyn FnMut(Tree) -> Result<()>) -> Result<()> {
        let (mut completion, mut is_empty) = (Completion::default(), true);
        for tree in input::trees(path)? {
            let mut tree = tree?;
            completion.complete(&mut tree);
            completion.explained(path, self.predictor.predict(&mut tree))?;
            take(tree)?;
            is_empty = false;
        }
        ensure!(!is_empty, "{}: no trees", input::name(path));
        completion.tell(path);
        Ok(())
    }
}
