package fakecloud

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// sessionTime is how long the credentials of a role are good.
const sessionTime = time.Hour

func (c *Cloud) getCallerIdentity(req *request, _ Fault) (any, *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.keys[req.accessKey]
	return tree{"Account": k.account, "Arn": "arn:aws:iam::" + k.account + ":user/test", "UserId": "AIDATEST"}, nil
}

func (c *Cloud) assumeRole(req *request, _ Fault) (any, *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	arn := req.in.text("RoleArn")
	role, known := c.roles[arn]
	from := c.keys[req.accessKey]
	if !known || role.ExternalID != req.in.text("ExternalId") || role.Account != "" && role.Account != from.account {
		return nil, &failure{http.StatusForbidden, "AccessDenied", "User is not authorized to perform: sts:AssumeRole on resource: " + arn, ""}
	}
	return c.session(arn), nil
}

func (c *Cloud) assumeRoleWithWebIdentity(req *request, _ Fault) (any, *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	arn := req.in.text("RoleArn")
	if _, known := c.roles[arn]; !known || req.in.text("WebIdentityToken") != "good" {
		return nil, &failure{http.StatusBadRequest, "InvalidIdentityToken", "The token is not valid", ""}
	}
	return c.session(arn), nil
}

// session makes credentials of a role, whose ARN names its account.
func (c *Cloud) session(arn string) tree {
	id := fmt.Sprintf("ASIA%d", len(c.keys))
	expires := c.now().Add(sessionTime)
	c.keys[id] = &key{account: strings.Split(arn, ":")[4], role: arn, token: "token-" + id, expires: expires}
	return tree{
		"Credentials":     tree{"AccessKeyId": id, "SecretAccessKey": "secret", "SessionToken": "token-" + id, "Expiration": expires},
		"AssumedRoleUser": tree{"Arn": arn, "AssumedRoleId": "AROA:" + id},
	}
}
