//! One story per guarantee.
