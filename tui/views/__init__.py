"""Pure views: state in, styled lines out. Nothing here knows Textual, so everything here is cheap to test."""
