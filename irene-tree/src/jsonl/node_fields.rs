//! The fields of one node, but for its numbers and its children.

use std::{borrow::Cow, sync::Arc};

use serde::{
    Deserialize,
    de::{Error as _, MapAccess},
};
use serde_json::Value;

use super::{
    fields::{self, Key},
    reading::Reading,
};
use crate::{Level, Mark, Node, Operation, Size};

/// A count that Python may have written as a float.
pub(super) fn count<E: serde::de::Error>(number: f64, least: u32) -> std::result::Result<usize, E> {
    if number >= least.into() && number <= u32::MAX.into() && number.fract() == 0.0 {
        Ok(number as usize)
    } else {
        Err(E::custom(format!("expected a whole number of at least {least}, found {number}")))
    }
}

/// A node's size as it is written.
#[derive(Deserialize)]
struct StoredSize {
    batch_size: f64,
    seq_len: f64,
    #[serde(default)]
    past_len: f64,
}

impl StoredSize {
    fn checked<E: serde::de::Error>(self) -> std::result::Result<Size, E> {
        let (sequences, new) = (count(self.batch_size, 1)?, count(self.seq_len, 1)?);
        Ok(Size { sequences, new, past: count(self.past_len, 0)? })
    }
}

/// Fields that repeat what the structure says, compared with the tree once the node is read.
#[derive(Default)]
pub(super) struct Given {
    scope: bool,
    instance_type: bool,
    level: bool,
    depth: Option<u64>,
    parent_name: Option<String>,
}

impl Given {
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        map: &mut A,
        node: &mut Node,
    ) -> std::result::Result<(), A::Error> {
        match name {
            fields::ID => node.id = map.next_value::<Option<String>>()?.map(Into::into),
            fields::SCOPE => {
                node.scope = map.next_value::<String>()?.into();
                self.scope = true;
            }
            fields::INSTANCE_TYPE => {
                node.instance_type = Cow::Owned(map.next_value::<String>()?);
                self.instance_type = true;
            }
            fields::TYPE => {
                let word = map.next_value::<String>()?;
                node.level = Level::from_name(&word).ok_or_else(|| {
                    A::Error::custom(format!("expected one of model, module, ml, math; found `{word}`"))
                })?;
                self.level = true;
            }
            fields::LEVEL => self.depth = map.next_value()?,
            fields::PARENT_NAME => self.parent_name = map.next_value()?,
            fields::SIZE => node.size = map.next_value::<Option<StoredSize>>()?.map(StoredSize::checked).transpose()?,
            fields::TIMES => {
                node.times = map.next_value::<Option<f64>>()?.unwrap_or(1.0);
                if !(node.times.is_finite() && node.times > 0.0) {
                    return Err(A::Error::custom(format!("expected a number above 0, found {}", node.times)));
                }
            }
            fields::GPUS => node.gpus = map.next_value::<Option<f64>>()?.map_or(Ok(1), |gpus| count(gpus, 1))? as u32,
            fields::OPERATION => node.operation = map.next_value::<Option<Operation>>()?.map(Arc::new),
            fields::MARKS => {
                node.marks = map.next_value::<Option<Vec<Mark>>>()?.unwrap_or_default().into_iter().collect();
            }
            // The scopes of the children follow from the children.
            fields::CHILD_NODES => drop(map.next_value::<serde::de::IgnoredAny>()?),
            _ => {
                let value: Value = map.next_value()?;
                node.extra.get_or_insert_default().insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    pub(super) fn settle<E: serde::de::Error>(self, reading: &mut Reading, index: usize) -> std::result::Result<(), E> {
        let node = &reading.nodes[index];
        let is_root = index == 0;
        let parent = &reading.nodes[node.parent as usize].scope;
        let (field, reason) = if !self.scope {
            (fields::SCOPE, "is missing".to_owned())
        } else if !self.instance_type {
            (fields::INSTANCE_TYPE, "is missing".to_owned())
        } else if !self.level {
            (fields::TYPE, "is missing".to_owned())
        } else if let Some(depth) = self.depth.filter(|&depth| depth != u64::from(node.depth)) {
            (fields::LEVEL, format!("is {depth}, but the node stands at depth {}", node.depth))
        } else if let Some(name) = self.parent_name.filter(|name| !is_root && !parent.is_empty() && **name != **parent)
        {
            (fields::PARENT_NAME, format!("is `{name}`, but the node stands below `{parent}`"))
        } else {
            return Ok(());
        };
        reading.enter(Some(index), &Key::Known(field));
        Err(E::custom(reason))
    }
}
