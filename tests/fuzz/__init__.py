"""Random nested flows, run by the engine and by an interpreter that is as plain as can be."""
