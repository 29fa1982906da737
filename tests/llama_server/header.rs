//! What a model file says of itself, read from the files that llama-server loads in these tests.

use std::fs;

use greenroom::actors::estimate::files;

use crate::common::gguf;

#[test]
fn the_layers_of_a_generated_model_are_read_from_its_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.gguf");
    for layers in [1, 4, 13] {
        gguf::write(&path, gguf::Shape { layers, embedding: 64, feed_forward: 64, words: 2 }).expect("written");
        let found = files::look(&path).expect("there");
        let size = fs::metadata(&path).expect("there").len();
        assert_eq!((found.layers, found.size), (Some(layers), size));
    }
}
