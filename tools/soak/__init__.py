"""Many real processes on one repository for a long time, and everything they promise compared with what they keep."""
