//! Architectures by shape and on candle, files, text, generation and training.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // a test that cannot be set up should stop, and say so

#[cfg(feature = "candle")]
mod activations;
#[cfg(feature = "candle")]
mod attention;
mod builtin;
#[cfg(feature = "text")]
mod chat;
mod components;
mod compressed;
mod config_fields;
mod configs;
#[cfg(feature = "candle")]
mod decoders;
mod designs;
mod dropout;
#[cfg(feature = "candle")]
mod encoders;
mod families;
mod file_heads;
mod files;
mod flexibert;
mod flops;
mod generation;
mod gguf;
mod gguf_architectures;
#[cfg(feature = "candle")]
mod gguf_converted;
mod gguf_file;
mod gguf_metadata;
#[cfg(feature = "candle")]
mod gradients;
mod heads;
#[cfg(feature = "candle")]
mod hugging_face;
#[cfg(feature = "candle")]
mod language_models;
mod own_fields;
mod parallel;
#[cfg(feature = "candle")]
mod places;
#[cfg(feature = "profile")]
mod profile;
mod public_trees;
mod published;
mod pytorch_steps;
mod quantised;
#[cfg(feature = "candle")]
mod sentence_transformers;
#[cfg(feature = "candle")]
mod shape_and_run;
#[cfg(feature = "candle")]
mod small_decoders;
mod sparse;
mod states;
mod support;
#[cfg(feature = "text")]
mod tokenizers;
#[cfg(feature = "candle")]
mod trainer;
mod training;
mod training_laws;
