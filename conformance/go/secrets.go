package main

// Every operation on secrets, through azsecrets as it is.

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

const noVersion = "00000000000000000000000000000000"

func init() {
	register(map[string]scenario{
		"secret-set-and-get":                    secretSetAndGet,
		"secret-attributes":                     secretAttributes,
		"secret-odd-values":                     secretOddValues,
		"secret-too-long-is-refused":            secretTooLongIsRefused,
		"secret-versions":                       secretVersions,
		"secret-update":                         secretUpdate,
		"secret-list-over-pages":                secretListOverPages,
		"secret-not-found":                      secretNotFound,
		"secret-delete-and-recover":             secretDeleteAndRecover,
		"secret-purge":                          secretPurge,
		"secret-deleted-list-over-pages":        secretDeletedListOverPages,
		"secret-name-of-a-deleted-one-is-taken": secretNameOfADeletedOneIsTaken,
		"secret-backup-and-restore":             secretBackupAndRestore,
		"secret-restore-onto-itself-is-refused": secretRestoreOntoItselfIsRefused,
		"secret-damaged-backup-is-refused":      secretDamagedBackupIsRefused,
		"secret-disabled-cannot-be-read":        secretDisabledCannotBeRead,
		"secret-outside-its-dates-can-be-read":  secretOutsideItsDatesCanBeRead,
		"async-many-at-once":                    manyAtOnce,
	})
}

func (t *T) set(client *azsecrets.Client, name, value string) azsecrets.Secret {
	return t.setWith(client, name, azsecrets.SetSecretParameters{Value: &value})
}

func (t *T) setWith(client *azsecrets.Client, name string, parameters azsecrets.SetSecretParameters) azsecrets.Secret {
	return must(client.SetSecret(t, name, parameters, nil)).Secret
}

func (t *T) get(client *azsecrets.Client, name, version string) azsecrets.Secret {
	return must(client.GetSecret(t, name, version, nil)).Secret
}

func (t *T) secretGone(client *azsecrets.Client, name, version string) {
	_, err := client.GetSecret(t, name, version, nil)
	t.refused(err, 404, "SecretNotFound")
}

func (t *T) listedSecrets(client *azsecrets.Client) map[string]*azsecrets.SecretProperties {
	listed := map[string]*azsecrets.SecretProperties{}
	for _, page := range pages(t, client.NewListSecretPropertiesPager(nil)) {
		for _, item := range page.Value {
			listed[item.ID.Name()] = item
		}
	}
	return listed
}

func (t *T) deletedSecrets(client *azsecrets.Client) map[string]bool {
	listed := map[string]bool{}
	for _, page := range pages(t, client.NewListDeletedSecretPropertiesPager(nil)) {
		for _, item := range page.Value {
			listed[item.ID.Name()] = true
		}
	}
	return listed
}

func (t *T) secretVersionsOf(client *azsecrets.Client, name string) []string {
	var versions []string
	for _, page := range pages(t, client.NewListSecretPropertiesVersionsPager(name, nil)) {
		for _, item := range page.Value {
			t.equal(item.ID.Name(), name)
			versions = append(versions, item.ID.Version())
		}
	}
	slices.Sort(versions)
	return versions
}

func secretSetAndGet(t *T) {
	name := fresh("plain")
	written := t.set(t.secretClient(vaultA), name, "a first value")
	t.equal(*written.Value, "a first value")
	t.check(strings.HasPrefix(string(*written.ID), vaultURL(vaultA)+"/secrets/"+name+"/"), "%s", *written.ID)
	read := t.get(t.secretClient(vaultA), name, "")
	t.equal(*read.Value, "a first value")
	t.equal(*read.ID, *written.ID)
	t.equal(*read.Attributes.Enabled, true)
	t.check(time.Since(*read.Attributes.Created).Abs() < 5*time.Minute, "created %v", read.Attributes.Created)
	t.check(*read.Attributes.RecoveryLevel != "", "a vault says how it recovers")
	days := *read.Attributes.RecoverableDays
	t.check(days >= 7 && days <= 90, "recoverable for %d days", days)
}

func secretAttributes(t *T) {
	client, name := t.secretClient(vaultA), fresh("attributes")
	tags := map[string]*string{"owner": ptr("team one"), "empty": ptr(""), "ümlaut": ptr("ja")}
	from, until := daysFromNow(-1), daysFromNow(30)
	t.setWith(client, name, azsecrets.SetSecretParameters{
		Value:            ptr("v"),
		ContentType:      ptr("text/plain; charset=utf-8"),
		Tags:             tags,
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: ptr(true), NotBefore: &from, Expires: &until},
	})
	read := t.get(client, name, "")
	t.equal(*read.ContentType, "text/plain; charset=utf-8")
	t.equal(read.Tags, tags)
	t.equal(*read.Attributes.Enabled, true)
	t.check(read.Attributes.NotBefore.Equal(from), "%v", read.Attributes.NotBefore)
	t.check(read.Attributes.Expires.Equal(until), "%v", read.Attributes.Expires)
}

func secretOddValues(t *T) {
	client := t.secretClient(vaultA)
	for _, value := range []string{
		"", "two\r\nlines\n", `"quoted" \ and {"json": [1]}`, "пароль 秘密 🔑", strings.Repeat("x", 25_000), " padded ",
	} {
		name := fresh("odd")
		t.set(client, name, value)
		t.equal(*t.get(client, name, "").Value, value)
	}
}

func secretTooLongIsRefused(t *T) {
	value := strings.Repeat("x", 25_601)
	_, err := t.secretClient(vaultA).SetSecret(t, fresh("long"), azsecrets.SetSecretParameters{Value: &value}, nil)
	t.refused(err, 400, "BadParameter")
}

func secretVersions(t *T) {
	client, name := t.secretClient(vaultA), fresh("versions")
	var versions []string
	for number := range 4 {
		versions = append(versions, t.set(client, name, fmt.Sprint("value ", number)).ID.Version())
	}
	for number, version := range versions {
		t.check(regexp.MustCompile("^[0-9a-f]{32}$").MatchString(version), "%s", version)
		t.equal(*t.get(client, name, version).Value, fmt.Sprint("value ", number))
	}
	t.equal(t.get(client, name, "").ID.Version(), versions[3])
	slices.Sort(versions)
	t.equal(len(slices.Compact(slices.Clone(versions))), 4)
	t.equal(t.secretVersionsOf(client, name), versions)
}

func secretUpdate(t *T) {
	client, name := t.secretClient(vaultA), fresh("update")
	first := t.setWith(client, name, azsecrets.SetSecretParameters{Value: ptr("kept"), Tags: map[string]*string{"a": ptr("1")}})
	until, tags := daysFromNow(1), map[string]*string{"b": ptr("2")}
	changed := must(client.UpdateSecretProperties(t, name, first.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{
		Tags: tags, ContentType: ptr("x/y"), SecretAttributes: &azsecrets.SecretAttributes{Expires: &until},
	}, nil))
	t.equal([]any{changed.Tags, *changed.ContentType, *changed.ID}, []any{tags, "x/y", *first.ID})
	t.check(!changed.Attributes.Updated.Before(*first.Attributes.Updated), "`updated` went back")
	// Without a version the newest is meant, and what is not said stays.
	again := must(client.UpdateSecretProperties(t, name, "", azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: ptr(true)},
	}, nil))
	t.equal([]any{again.Tags, *again.ContentType}, []any{tags, "x/y"})
	read := t.get(client, name, "")
	t.equal([]any{*read.Value, read.Tags}, []any{"kept", tags})
	t.check(read.Attributes.Expires.Equal(until), "%v", read.Attributes.Expires)
}

func secretListOverPages(t *T) {
	client, prefix := t.secretClient(vaultB), fresh("page")
	for number := range 63 {
		name := fmt.Sprintf("%s-%02d", prefix, number)
		t.setWith(client, name, azsecrets.SetSecretParameters{Value: ptr("listed"), Tags: map[string]*string{"n": ptr(name[len(name)-2:])}})
	}
	read := pages(t, client.NewListSecretPropertiesPager(nil))
	t.check(len(read) >= 3, "%d pages", len(read))
	found := map[string]int{}
	for _, page := range read {
		t.check(len(page.Value) <= 25, "%d items on a page", len(page.Value))
		for _, item := range page.Value {
			if name := item.ID.Name(); strings.HasPrefix(name, prefix) {
				found[name]++
				t.equal(*item.Tags["n"], name[len(name)-2:])
				t.equal(item.ID.Version(), "")
			}
		}
	}
	t.equal(len(found), 63)
	for name, times := range found {
		t.check(times == 1, "%s is listed %d times", name, times)
	}
}

func secretNotFound(t *T) {
	client, name := t.secretClient(vaultA), fresh("absent")
	t.secretGone(client, name, "")
	_, err := client.GetDeletedSecret(t, name, nil)
	t.refused(err, 404, "SecretNotFound")
	_, err = client.DeleteSecret(t, name, nil)
	t.refused(err, 404, "SecretNotFound")
	off := azsecrets.UpdateSecretPropertiesParameters{SecretAttributes: &azsecrets.SecretAttributes{Enabled: ptr(false)}}
	_, err = client.UpdateSecretProperties(t, name, noVersion, off, nil)
	t.refused(err, 404, "SecretNotFound")
	t.set(client, name, "now it is")
	t.secretGone(client, name, noVersion)
}

func secretDeleteAndRecover(t *T) {
	client, name := t.secretClient(vaultA), fresh("recover")
	first, tags := t.set(client, name, "one"), map[string]*string{"k": ptr("v")}
	t.setWith(client, name, azsecrets.SetSecretParameters{Value: ptr("two"), Tags: tags})
	deleted := must(client.DeleteSecret(t, name, nil))
	t.equal(*deleted.RecoveryID, vaultURL(vaultA)+"/deletedsecrets/"+name)
	t.check(deleted.ScheduledPurgeDate.After(*deleted.DeletedDate), "%v", deleted.ScheduledPurgeDate)
	t.secretGone(client, name, "")
	t.secretGone(client, name, first.ID.Version())
	t.check(t.listedSecrets(client)[name] == nil, "a deleted secret is listed")
	t.check(t.deletedSecrets(client)[name], "a deleted secret is not listed as deleted")
	t.equal(must(client.GetDeletedSecret(t, name, nil)).Tags, tags)
	must(client.RecoverDeletedSecret(t, name, nil))
	t.equal(*t.get(client, name, "").Value, "two")
	t.equal(*t.get(client, name, first.ID.Version()).Value, "one")
	t.check(!t.deletedSecrets(client)[name], "a recovered secret is listed as deleted")
}

func secretPurge(t *T) {
	client, name := t.secretClient(vaultA), fresh("purge")
	old := t.set(client, name, "gone soon").ID.Version()
	must(client.DeleteSecret(t, name, nil))
	must(client.PurgeDeletedSecret(t, name, nil))
	_, err := client.GetDeletedSecret(t, name, nil)
	t.refused(err, 404, "SecretNotFound")
	_, err = client.PurgeDeletedSecret(t, name, nil)
	t.refused(err, 404, "SecretNotFound")
	version := t.set(client, name, "a new life").ID.Version()
	t.check(version != old, "a version came back")
	t.equal(t.secretVersionsOf(client, name), []string{version})
	t.secretGone(client, name, old)
}

func secretDeletedListOverPages(t *T) {
	client, prefix := t.secretClient(vaultB), fresh("gone")
	for number := range 28 {
		name := fmt.Sprintf("%s-%02d", prefix, number)
		t.set(client, name, "x")
		must(client.DeleteSecret(t, name, nil))
	}
	read := pages(t, client.NewListDeletedSecretPropertiesPager(nil))
	t.check(len(read) >= 2, "%d pages", len(read))
	count := 0
	for _, page := range read {
		for _, item := range page.Value {
			if strings.HasPrefix(item.ID.Name(), prefix) {
				count++
			}
		}
	}
	t.equal(count, 28)
}

func secretNameOfADeletedOneIsTaken(t *T) {
	client, name := t.secretClient(vaultA), fresh("taken")
	t.set(client, name, "first")
	must(client.DeleteSecret(t, name, nil))
	_, err := client.SetSecret(t, name, azsecrets.SetSecretParameters{Value: ptr("second")}, nil)
	t.refused(err, 409, "Conflict", "ObjectIsDeletedButRecoverable")
	must(client.RecoverDeletedSecret(t, name, nil))
	t.equal(*t.get(client, name, "").Value, "first")
}

func secretBackupAndRestore(t *T) {
	here, there, name := t.secretClient(vaultA), t.secretClient(vaultB), fresh("backup")
	until, tags := daysFromNow(9), map[string]*string{"a": ptr("b")}
	first := t.setWith(here, name, azsecrets.SetSecretParameters{Value: ptr("one"), Tags: tags, ContentType: ptr("c/d")})
	second := t.setWith(here, name, azsecrets.SetSecretParameters{
		Value: ptr("two"), SecretAttributes: &azsecrets.SecretAttributes{Expires: &until},
	})
	backup := must(here.BackupSecret(t, name, nil)).Value
	t.check(!bytes.Contains(backup, []byte("one")) && !bytes.Contains(backup, []byte("two")), "a backup shows something")
	restored := must(there.RestoreSecret(t, azsecrets.RestoreSecretParameters{SecretBackup: backup}, nil))
	t.check(strings.HasPrefix(string(*restored.ID), vaultURL(vaultB)+"/secrets/"+name+"/"), "%s", *restored.ID)
	newest := t.get(there, name, "")
	t.equal(*newest.Value, "two")
	t.check(newest.Attributes.Expires.Equal(until), "%v", newest.Attributes.Expires)
	old := t.get(there, name, first.ID.Version())
	t.equal([]any{*old.Value, old.Tags, *old.ContentType}, []any{"one", tags, "c/d"})
	versions := []string{first.ID.Version(), second.ID.Version()}
	slices.Sort(versions)
	t.equal(t.secretVersionsOf(there, name), versions)
	t.equal(*t.get(here, name, "").Value, "two")
}

func secretRestoreOntoItselfIsRefused(t *T) {
	client, name := t.secretClient(vaultA), fresh("again")
	t.set(client, name, "here")
	backup := azsecrets.RestoreSecretParameters{SecretBackup: must(client.BackupSecret(t, name, nil)).Value}
	_, err := client.RestoreSecret(t, backup, nil)
	t.refused(err, 409, "Conflict")
	must(client.DeleteSecret(t, name, nil))
	must(client.PurgeDeletedSecret(t, name, nil))
	must(client.RestoreSecret(t, backup, nil))
	t.equal(*t.get(client, name, "").Value, "here")
}

func secretDamagedBackupIsRefused(t *T) {
	here, there, name := t.secretClient(vaultA), t.secretClient(vaultB), fresh("damaged")
	t.set(here, name, "whole")
	backup := must(here.BackupSecret(t, name, nil)).Value
	backup[len(backup)/2] ^= 1
	for _, damaged := range [][]byte{backup, {}, []byte("not a backup at all")} {
		_, err := there.RestoreSecret(t, azsecrets.RestoreSecretParameters{SecretBackup: damaged}, nil)
		t.refused(err, 400, "BadParameter")
	}
	t.secretGone(there, name, "")
}

func secretDisabledCannotBeRead(t *T) {
	client, name := t.secretClient(vaultA), fresh("disabled")
	written := t.setWith(client, name, azsecrets.SetSecretParameters{
		Value: ptr("hidden"), SecretAttributes: &azsecrets.SecretAttributes{Enabled: ptr(false)},
	})
	for _, version := range []string{"", written.ID.Version()} {
		_, err := client.GetSecret(t, name, version, nil)
		t.refused(err, 403, "Forbidden", "SecretDisabled")
	}
	t.equal(*t.listedSecrets(client)[name].Attributes.Enabled, false)
	on := azsecrets.UpdateSecretPropertiesParameters{SecretAttributes: &azsecrets.SecretAttributes{Enabled: ptr(true)}}
	must(client.UpdateSecretProperties(t, name, "", on, nil))
	t.equal(*t.get(client, name, "").Value, "hidden")
}

func secretOutsideItsDatesCanBeRead(t *T) {
	client := t.secretClient(vaultA)
	for _, dates := range []azsecrets.SecretAttributes{{Expires: ptr(daysFromNow(-1))}, {NotBefore: ptr(daysFromNow(1))}} {
		name := fresh("dates")
		t.setWith(client, name, azsecrets.SetSecretParameters{Value: ptr("still there"), SecretAttributes: &dates})
		t.equal(*t.get(client, name, "").Value, "still there")
	}
}

func manyAtOnce(t *T) {
	client := t.secretClient(vaultA)
	var readers sync.WaitGroup
	failures := make(chan error, 100)
	for range 100 {
		readers.Go(func() {
			read, err := client.GetSecret(t, world.SeededName, "", nil)
			if err == nil && *read.Value != world.SeededValue {
				err = fmt.Errorf("found %s", *read.Value)
			}
			failures <- err
		})
	}
	readers.Wait()
	for range 100 {
		must(0, <-failures)
	}
}
