//! stub: the built-in packs as text
