// Package gossip tells who is in the cluster and who seems alive, over encrypted memberlist; it is evidence, never permission.
package gossip
