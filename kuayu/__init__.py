"""The program: settings, the assembly of a node, command line, local broker, demonstration and benchmark."""
