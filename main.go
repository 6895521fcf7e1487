// Command novacron turns Linux hosts with KVM into one cluster that runs virtual machines.
package main

func main() {}
